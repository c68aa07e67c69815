"""pq.py client HOST CA | pq.py server CHAIN KEY: HTTPS with OpenSSL 4, whose first key share is X25519MLKEM768 (pyOpenSSL)."""
import socket, sys
from OpenSSL import SSL

if sys.argv[1] == "client":
    ctx = SSL.Context(SSL.TLS_CLIENT_METHOD)
    ctx.load_verify_locations(sys.argv[3])
    ctx.set_verify(SSL.VERIFY_PEER)
    s = SSL.Connection(ctx, socket.create_connection((sys.argv[2], 443)))
    s.set_tlsext_host_name(sys.argv[2].encode())
    s.set_connect_state()
    s.do_handshake()
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    print(s.get_protocol_version_name(), s.get_group_name(), s.recv(4096).split(b"\r\n")[0].decode())
    s.shutdown()
    s.sock_shutdown(socket.SHUT_WR)
else:
    ctx = SSL.Context(SSL.TLS_SERVER_METHOD)
    ctx.use_certificate_chain_file(sys.argv[2])
    ctx.use_privatekey_file(sys.argv[3])
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
