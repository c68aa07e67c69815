"""A client and a server of QUIC on aioquic.

    quic.py server CERT KEY [retry] [versions=1,2] [alpn=h3] [tickets] [secrets=FILE]
    quic.py client HOST CA [versions=1] [alpn=h3] [resume] [rebind] [new-id] [fallback] [leave] [wait=SECONDS] [secrets=FILE]

The server answers any request by a page. The client prints `answered`, or why it was not.
"""
import asyncio, os, socket, ssl, sys
from functools import partial
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, StreamDataReceived

VERSIONS = {"1": 1, "2": 0x6B3343CF, "reserved": 0x1A2A3A4A}
WORDS = {word.split("=")[0]: word.partition("=")[2] for word in sys.argv[4:]}
PAGE = b"<html><body>hello</body></html>"


def configuration(is_client):
    config = QuicConfiguration(is_client=is_client, alpn_protocols=WORDS.get("alpn", "h3").split(","))
    config.supported_versions = [VERSIONS[v] for v in WORDS.get("versions", "1").split(",")]
    if "secrets" in WORDS:
        config.secrets_log_file = open(WORDS["secrets"], "a")
    config.idle_timeout = 8.0
    return config


class Served(QuicConnectionProtocol):
    http = None

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol == "h3":
            self.http = H3Connection(self._quic)
        for said in self.http.handle_event(event) if self.http else ():
            if isinstance(said, HeadersReceived):
                self.http.send_headers(said.stream_id, [(b":status", b"200"), (b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode())])
                self.http.send_data(said.stream_id, PAGE, end_stream=True)
                self.transmit()


class Asks(QuicConnectionProtocol):
    http, answer = None, None

    def quic_event_received(self, event):
        if self.http:
            self.http.handle_event(event)
        if isinstance(event, StreamDataReceived) and event.end_stream and not self.answer.done():
            self.answer.set_result(event.data)

    async def ask(self, host):
        self.http = self.http or H3Connection(self._quic)
        self.answer = asyncio.get_running_loop().create_future()
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", b"/")], end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.answer, 5)


async def server():
    config = configuration(False)
    config.load_cert_chain(sys.argv[2], sys.argv[3])
    kept = {}
    tickets = dict(session_ticket_handler=lambda t: kept.update({t.ticket: t}), session_ticket_fetcher=kept.get) if "tickets" in WORDS else {}
    for host in ("0.0.0.0", "2001:db8:2::20"):
        try:
            await serve(host, 443, configuration=config, create_protocol=Served, retry="retry" in WORDS, **tickets)
        except OSError:
            pass
    await asyncio.Future()


async def client():
    host, config = sys.argv[2], configuration(True)
    config.load_verify_locations(sys.argv[3])
    config.server_name = host
    tickets = []
    try:
        async with asyncio.timeout(float(WORDS.get("wait", 6))):
            for again in range(2 if "resume" in WORDS else 1):
                config.session_ticket = tickets[-1] if tickets else None
                early = "resume" in WORDS and again == 1
                async with connect(host, 443, configuration=config, create_protocol=Asks, session_ticket_handler=tickets.append, wait_connected=not early) as one:
                    if "leave" in WORDS:
                        break
                    await one.ask(host)
                    if "new-id" in WORDS:
                        one.change_connection_id()
                        await one.ask(host)
                    if "rebind" in WORDS:          # as a translator does that forgets: the same connection from another port
                        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                        sock.bind(("::", 0, 0, 0))
                        await asyncio.get_running_loop().create_datagram_endpoint(lambda: one, sock=sock)
                        await one.ask(host)
                    await asyncio.sleep(0.1)
        print("answered over QUIC", flush=True)
        return 0
    except (ConnectionError, TimeoutError, OSError, asyncio.TimeoutError) as error:
        print("no answer over QUIC:", type(error).__name__, error, flush=True)
        if "fallback" not in WORDS:
            return 1
    context = ssl.create_default_context(cafile=sys.argv[3])
    context.set_alpn_protocols(["http/1.1"])
    with context.wrap_socket(socket.create_connection((host, 443), 5), server_hostname=host) as tls:
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while tls.recv(4096):
            pass
    print("answered over TCP", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(server() if sys.argv[1] == "server" else client()))
