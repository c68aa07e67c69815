"""responder.py FILE SECONDS [PORT]: an HTTP server on port 80 or this one which answers every GET and POST with FILE, so many seconds late."""
import http.server, sys, time

data, late = open(sys.argv[1], "rb").read(), float(sys.argv[2])


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(late)
        self.send_response(200)
        self.send_header("Content-Type", "application/pkix-crl" if self.path.endswith(".crl") else "application/ocsp-response")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET
    version_string = lambda self: "lab"


http.server.ThreadingHTTPServer(("", int(sys.argv[3]) if len(sys.argv) > 3 else 80), Answer).serve_forever()
