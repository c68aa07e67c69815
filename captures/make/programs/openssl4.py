"""openssl4.py client HOST VERSION CA [word...] | openssl4.py server CHAIN KEY VERSION [word...]: HTTPS with OpenSSL 4 (pyOpenSSL).
Words: cert=FILE key=FILE (client certificate), need=CA (demand one), alpn=NAME, staple (ask for one), no-verify, time (tell it in the hello's
random, as stacks did before 2013: SSL_MODE_SEND_CLIENTHELLO_TIME)."""
import contextlib, os, socket, sys
from OpenSSL import SSL

side, first, *rest = sys.argv[1:]
second, version, words = (rest[1], rest[0], rest[2:]) if side == "client" else (rest[0], rest[1], rest[2:])
opt = dict(w.partition("=")[::2] for w in words)
ctx = SSL.Context(SSL.TLS_CLIENT_METHOD if side == "client" else SSL.TLS_SERVER_METHOD)
if version != "-":
    ctx.set_min_proto_version(getattr(SSL, "TLS" + version.replace(".", "_") + "_VERSION"))
    ctx.set_max_proto_version(getattr(SSL, "TLS" + version.replace(".", "_") + "_VERSION"))

if "SSLKEYLOGFILE" in os.environ:
    ctx.set_keylog_callback(lambda conn, line: open(os.environ["SSLKEYLOGFILE"], "ab").write(line + b"\n"))

if side == "client":
    ctx.load_verify_locations(second)
    if "time" in opt:
        ctx.set_mode(0x20)
    if "no-verify" not in opt:
        ctx.set_verify(SSL.VERIFY_PEER)
    if "cert" in opt:
        ctx.use_certificate_chain_file(opt["cert"])
        ctx.use_privatekey_file(opt["key"])
    if "alpn" in opt:
        ctx.set_alpn_protos([opt["alpn"].encode()])
    if "staple" in opt:
        ctx.set_ocsp_client_callback(lambda conn, answer, data: True)
    s = SSL.Connection(ctx, socket.create_connection((first, 443)))
    s.set_tlsext_host_name(first.encode())
    if "staple" in opt:
        s.request_ocsp()
    s.set_connect_state()
    try:
        s.do_handshake()
        s.sendall(f"GET / HTTP/1.0\r\nHost: {first}\r\n\r\n".encode())
        print(s.get_protocol_version_name(), s.get_group_name(), s.recv(4096).split(b"\r\n")[0].decode())
        s.shutdown()
        s.sock_shutdown(socket.SHUT_WR)
    except SSL.Error as e:
        with contextlib.suppress(OSError):
            s.sock_shutdown(socket.SHUT_WR)
        sys.exit(f"{type(e).__name__}: {e} " + ("" if "no-verify" in opt else SSL._ffi.string(
            SSL._lib.X509_verify_cert_error_string(SSL._lib.SSL_get_verify_result(s._ssl))).decode()))
else:
    ctx.use_certificate_chain_file(first)
    ctx.use_privatekey_file(second)
    if "need" in opt:
        ctx.load_verify_locations(opt["need"])
        ctx.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    if "alpn" in opt:
        ctx.set_alpn_select_callback(lambda conn, offered: opt["alpn"].encode() if opt["alpn"].encode() in offered else b"")
    listen = socket.create_server(("", 443))
    while True:
        s = SSL.Connection(ctx, listen.accept()[0])
        s.set_accept_state()
        try:
            s.recv(4096)
            s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
            s.shutdown()
            s.recv(4096)
        except SSL.Error as e:
            print(e, flush=True)
        s.close()
