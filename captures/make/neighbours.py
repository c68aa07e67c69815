"""Others who use the gateway while a scene is played: small exchanges with a server without TLS."""

import socket
import threading

import net
from net import ELSEWHERE, ELSEWHERE6, WEB


def plain(lab):
    """A server without TLS, port 80: takes whatever it is sent, and says hello."""
    def serve(listening):
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    def answer(sock):
        try:
            with sock:
                sock.settimeout(3)
                got = b""
                while b"\r\n\r\n" not in got or got.startswith(b"PUT") and not got.endswith(b"."):
                    more = sock.recv(4096)
                    if not more:
                        return
                    got += more
                sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
        except OSError:
            pass
    with net.inside("cn-server"):
        for address in (ELSEWHERE, WEB) + ((ELSEWHERE6,) if lab.v6 else ()):
            listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, 80))
            listening.listen(16)
            threading.Thread(target=serve, args=(listening,), daemon=True).start()


class Neighbours:
    """Exchanges with port 80, one after another (`every` so many seconds), to the server's two addresses in turn, from `before`
    the scene to `after` it; `upload` sends more than a segment holds."""

    def __init__(self, lab, every=2.0, before=1.0, after=2.5, upload=False, six=False):
        self.lab, self.every, self.before, self.after, self.upload = lab, every, before, after, upload
        self.addresses = (ELSEWHERE6,) if six else (WEB, ELSEWHERE)
        self.over, self.threads = threading.Event(), []

    def __enter__(self):
        plain(self.lab)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.over.wait(self.before)
        return self

    def __exit__(self, *_):
        self.over.wait(self.after)
        self.over.set()
        for thread in [self.thread, *self.threads]:
            thread.join()

    def run(self):
        n = 0
        while not self.over.is_set():
            self.threads.append(threading.Thread(target=self.ask, args=(self.addresses[n % len(self.addresses)], self.upload and n in (1, 3))))
            self.threads[-1].start()
            n += 1
            self.over.wait(self.every)

    def ask(self, address, large):
        try:
            with self.lab.connect(address, port=80, timeout=4) as sock:
                sock.sendall(b"PUT / HTTP/1.0\r\n\r\n" + 1_700 * b"." if large else b"GET / HTTP/1.0\r\n\r\n")
                sock.recv(100)
        except OSError:
            pass  # what the gateway does to it, it does
