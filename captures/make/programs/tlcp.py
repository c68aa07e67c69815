"""tlcp.py LIBRARY server PORT CA SUITE NAME [word...], tlcp.py LIBRARY client HOST PORT CA SUITE NAME [word...]: TLCP (GB/T 38636) and
TLS 1.3 with SM2 (RFC 8998) by the library inside the wheel tongsuopy. NAME-sign.pem, NAME-enc.pem and their .key are the two certificates;
- for none.

Words: mutual (demand a certificate), check=NAME (verify the server's name), sni=NAME, tls13 (RFC 8998 instead of TLCP: NAME-sign alone),
also=CERT,KEY (the server speaks TLS with these besides), above=FILE (issuers that are sent), twice (two connections, the second
with the first's session), mute (the server closes on hellos of other versions without a word, as gateways do).
"""
import ctypes, socket, sys, time

library, role, *words = sys.argv[1:]
lib = ctypes.CDLL(library)
P, C, L = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_long
for name in ("NTLS_client_method NTLS_server_method TLS_client_method TLS_server_method SSL_CTX_new SSL_new SSL_load_client_CA_file SSL_get1_session "
             "BIO_new_file PEM_read_bio_X509").split():
    getattr(lib, name).restype = P
lib.SSL_CTX_new.argtypes = lib.SSL_new.argtypes = lib.SSL_connect.argtypes = lib.SSL_accept.argtypes = lib.SSL_get1_session.argtypes = [P]
lib.SSL_load_client_CA_file.argtypes, lib.SSL_CTX_set_client_CA_list.argtypes = [C], [P, P]
lib.SSL_ctrl.argtypes = lib.SSL_CTX_ctrl.argtypes = [P, ctypes.c_int, L, P]
lib.BIO_new_file.argtypes, lib.PEM_read_bio_X509.argtypes, lib.SSL_set_session.argtypes = [C, C], [P, P, P, P], [P, P]
lib.ERR_get_error.restype, lib.ERR_error_string.restype, lib.ERR_error_string.argtypes = ctypes.c_ulong, C, [ctypes.c_ulong, P]
EXTRA_CHAIN_CERT, SERVER_NAME, GROUPS_LIST = 14, 55, 92        # numbers of SSL_ctrl in openssl/ssl.h


def fault():
    first = lib.ERR_get_error()
    return lib.ERR_error_string(first, None).decode() if first else "closed"


def must(done):
    if done != 1:
        sys.exit(fault())


def context(server, ca, suite, name, given):
    tls13 = "tls13" in given
    side = "server" if server else "client"
    ctx = P(lib.SSL_CTX_new(getattr(lib, f"{'TLS' if tls13 or 'also' in given else 'NTLS'}_{side}_method")()))
    if tls13:
        must(lib.SSL_CTX_set_ciphersuites(ctx, suite.encode()))
        lib.SSL_CTX_ctrl(ctx, 123, 0x0304, None)               # the lowest version
        must(lib.SSL_CTX_ctrl(ctx, GROUPS_LIST, 0, C(b"SM2")))
    else:
        lib.SSL_CTX_enable_ntls(ctx)
        lib.SSL_CTX_set_cipher_list(ctx, (suite + (":HIGH" if "also" in given else "")).encode())
    kinds = () if name == "-" else ("sign",) if tls13 else ("sign", "enc")
    for kind in kinds:
        use = "" if tls13 else f"{kind}_"
        for what, suffix in (("certificate", "pem"), ("PrivateKey", "key")):
            must(getattr(lib, f"SSL_CTX_use_{use}{what}_file")(ctx, f"{name}-{kind}.{suffix}".encode(), 1))
    if "above" in given:
        bio = lib.BIO_new_file(given["above"].encode(), b"r")
        while above := lib.PEM_read_bio_X509(bio, None, None, None):
            lib.SSL_CTX_ctrl(ctx, EXTRA_CHAIN_CERT, 0, above)
    if "also" in given:
        for what, file in zip(("certificate", "PrivateKey"), given["also"].split(",")):
            must(getattr(lib, f"SSL_CTX_use_{what}_file")(ctx, file.encode(), 1))
    lib.SSL_CTX_load_verify_locations(ctx, ca.encode(), None)
    lib.SSL_CTX_set_verify(ctx, 3 if "mutual" in given or not server else 0, None)
    if "mutual" in given:
        lib.SSL_CTX_set_client_CA_list(ctx, lib.SSL_load_client_CA_file(ca.encode()))
    return ctx


def talk(sock, ctx, server, given={}, session=None):
    ssl = P(lib.SSL_new(ctx))
    lib.SSL_set_fd(ssl, sock.fileno())
    if "check" in given:
        must(lib.SSL_set1_host(ssl, given["check"].encode()))
    if "sni" in given:
        must(lib.SSL_ctrl(ssl, SERVER_NAME, 0, C(given["sni"].encode())))
    if session:
        must(lib.SSL_set_session(ssl, session))
    done = (lib.SSL_accept if server else lib.SSL_connect)(ssl)
    if done != 1:
        print(fault(), flush=True)
        return 1, None
    buffer = ctypes.create_string_buffer(4096)
    if not server:
        lib.SSL_write(ssl, b"GET / HTTP/1.0\r\n\r\n", 18)
    lib.SSL_read(ssl, buffer, 4096)
    if server:
        lib.SSL_write(ssl, b"HTTP/1.0 200 OK\r\n\r\nhello\n", 25)
    lib.SSL_shutdown(ssl)
    return 0, None if server else P(lib.SSL_get1_session(ssl))


def spoken(rest):
    return {word: value for word, _, value in (word.partition("=") for word in rest)}


if role == "server":
    port, ca, suite, name, *rest = words
    ctx = context(True, ca, suite, name, spoken(rest))
    listener = socket.create_server(("", int(port)))
    while True:
        conn, _ = listener.accept()
        if "mute" not in rest or conn.recv(3, socket.MSG_PEEK)[1:] == b"\1\1":
            talk(conn, ctx, True)
        else:
            conn.recv(4096)
        conn.close()
else:
    host, port, ca, suite, name, *rest = words
    given, code, session = spoken(rest), 0, None
    ctx = context(False, ca, suite, name, given)
    for _ in range(2 if "twice" in given else 1):
        conn = socket.create_connection((host, int(port)))
        code, session = talk(conn, ctx, False, given, session)
        conn.close()
        time.sleep(0.1)
    sys.exit(code)
