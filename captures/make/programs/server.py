"""server.py PORT CHAIN KEY VERSION [word...]: a small HTTPS server with Python's ssl module. CHAIN - : without certificate.
Words: clients=CA (ask for a client certificate), raw (no TLS at all: HTTP), banner=TEXT (no TLS: greet and wait)."""
import socket, ssl, sys, threading

port, chain, key, version, *words = sys.argv[1:]
opt = dict(w.partition("=")[::2] for w in words)
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
if version != "-":
    ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
if chain != "-":
    ctx.load_cert_chain(chain, key)
if "clients" in opt:
    ctx.verify_mode = ssl.CERT_REQUIRED
    ctx.load_verify_locations(opt["clients"])


def serve(conn):
    try:
        if "banner" in opt:
            conn.sendall(opt["banner"].encode() + b"\r\n")
            conn.recv(4096)
            conn.sendall(b"500 5.5.1 Invalid command\r\n")
            conn.close()
            return
        if "raw" not in opt:
            conn = ctx.wrap_socket(conn, server_side=True)
        first = conn.recv(65536)
        if first:
            ok = first[:4] == b"GET "
            conn.sendall((b"HTTP/1.0 200 OK" if ok else b"HTTP/1.0 400 Bad request") + b"\r\nContent-Length: 6\r\n\r\nhello\n")
        if "raw" not in opt:
            conn.unwrap()
        else:
            conn.shutdown(socket.SHUT_WR)
            conn.recv(65536)
    except (OSError, ssl.SSLError) as e:
        print(e, flush=True)
    conn.close()


s = socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
