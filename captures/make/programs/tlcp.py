"""tlcp.py LIBRARY server PORT CA SUITE NAME [mutual], tlcp.py LIBRARY client HOST PORT CA SUITE NAME: TLCP (GB/T 38636) by the
library inside the wheel tongsuopy. NAME-sign.pem, NAME-enc.pem and their .key are the two certificates; - for none."""
import ctypes, socket, sys

library, role, *words = sys.argv[1:]
lib = ctypes.CDLL(library)
P, C = ctypes.c_void_p, ctypes.c_char_p
for name in "NTLS_client_method NTLS_server_method SSL_CTX_new SSL_new SSL_load_client_CA_file".split():
    getattr(lib, name).restype = P
lib.SSL_CTX_new.argtypes = lib.SSL_new.argtypes = lib.SSL_connect.argtypes = lib.SSL_accept.argtypes = [P]
lib.SSL_load_client_CA_file.argtypes, lib.SSL_CTX_set_client_CA_list.argtypes = [C], [P, P]
lib.ERR_get_error.restype, lib.ERR_error_string.restype, lib.ERR_error_string.argtypes = ctypes.c_ulong, C, [ctypes.c_ulong, P]


def fault():
    first = lib.ERR_get_error()
    return lib.ERR_error_string(first, None).decode() if first else "closed"


def context(server, ca, suite, name, mutual):
    ctx = P(lib.SSL_CTX_new(lib.NTLS_server_method() if server else lib.NTLS_client_method()))
    lib.SSL_CTX_enable_ntls(ctx)
    lib.SSL_CTX_set_cipher_list(ctx, suite.encode())
    for kind in ("sign", "enc") if name != "-" else ():
        for what, suffix in (("certificate", "pem"), ("PrivateKey", "key")):
            if getattr(lib, f"SSL_CTX_use_{kind}_{what}_file")(ctx, f"{name}-{kind}.{suffix}".encode(), 1) != 1:
                sys.exit(fault())
    lib.SSL_CTX_load_verify_locations(ctx, ca.encode(), None)
    lib.SSL_CTX_set_verify(ctx, 3 if mutual or not server else 0, None)
    if mutual:
        lib.SSL_CTX_set_client_CA_list(ctx, lib.SSL_load_client_CA_file(ca.encode()))
    return ctx


def talk(sock, ctx, server):
    ssl = P(lib.SSL_new(ctx))
    lib.SSL_set_fd(ssl, sock.fileno())
    done = (lib.SSL_accept if server else lib.SSL_connect)(ssl)
    if done != 1:
        print(fault(), flush=True)
        return 1
    buffer = ctypes.create_string_buffer(4096)
    if not server:
        lib.SSL_write(ssl, b"GET / HTTP/1.0\r\n\r\n", 18)
    lib.SSL_read(ssl, buffer, 4096)
    if server:
        lib.SSL_write(ssl, b"HTTP/1.0 200 OK\r\n\r\nhello\n", 25)
    lib.SSL_shutdown(ssl)
    return 0


if role == "server":
    port, ca, suite, name, *rest = words
    ctx = context(True, ca, suite, name, "mutual" in rest)
    listener = socket.create_server(("", int(port)))
    while True:
        conn, _ = listener.accept()
        talk(conn, ctx, True)
        conn.close()
else:
    host, port, ca, suite, name = words
    conn = socket.create_connection((host, int(port)))
    sys.exit(talk(conn, context(False, ca, suite, name, False), False))
