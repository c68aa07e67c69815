"""Small servers for the odd captures: peers.py KIND ADDRESS KEYS. KIND: http, connect, socks5, smtp, smtp-454."""

import http.server
import socket
import ssl
import struct
import sys
import threading

kind, address, keys = sys.argv[1:]


def pump(one, other):
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    threading.Thread(target=copy, args=(one, other), daemon=True).start()
    copy(other, one)


def origin():
    """The web server, beside this proxy in the same namespace."""
    return socket.create_connection(("203.0.113.10", 443), timeout=5)


def connect(client):
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4096)
    if not request.startswith(b"CONNECT www.example.test:443 "):
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return client.close()
    upstream = origin()
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    pump(client, upstream)


def socks5(client):
    client.recv(300)
    client.sendall(b"\x05\x00")
    client.recv(300)
    upstream = origin()
    client.sendall(b"\x05\x00\x00\x01" + socket.inet_aton(address) + struct.pack("!H", 40000))
    pump(client, upstream)


def smtp(client):
    def say(line):
        client.sendall(line.encode() + b"\r\n")
    say("220 mail.example.test ESMTP")
    while line := client.recv(1000):
        word = line.strip().upper()
        if word.startswith(b"EHLO"):
            say("250-mail.example.test\r\n250-SIZE 1000000\r\n250 STARTTLS")
        elif word == b"STARTTLS" and kind == "smtp-454":
            say("454 4.7.0 TLS not available due to local problem")
        elif word == b"STARTTLS":
            say("220 2.0.0 Ready to start TLS")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{keys}/mail.pem", f"{keys}/mail.key")
            try:
                client = context.wrap_socket(client, server_side=True)
            except OSError:
                return
        elif word == b"QUIT":
            say("221 2.0.0 Bye")
            if isinstance(client, ssl.SSLSocket):
                client.unwrap()
            break
        else:
            say("502 5.5.1 Command not recognized")
    client.close()


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")


if kind == "http":
    server = http.server.ThreadingHTTPServer((address, 443), Hello)
    print("ready", file=sys.stderr, flush=True)
    server.serve_forever()
talk, port = {"connect": (connect, 3128), "socks5": (socks5, 1080), "smtp": (smtp, 25), "smtp-454": (smtp, 25)}[kind]
listener = socket.create_server((address, port))
print("ready", file=sys.stderr, flush=True)
while True:
    threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
