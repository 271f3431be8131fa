"""A small web app: a page that counts its visits, a health check, and an orderly end."""

import html
import itertools
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = os.environ.get("GREETING", "Hello from Kogge")
INSTANCE = os.environ.get("KOGGE_INSTANCE", "this machine")
VISITS = itertools.count(1)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{greeting}</title>
<style>body {{ font: 1.1rem/1.6 system-ui, sans-serif; margin: 4rem auto; max-width: 32rem }}</style>
<h1>{greeting}</h1>
<p>You are visit {visit} of instance <strong>{instance}</strong>.</p>
"""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server_version = "hello"

    def do_GET(self):
        if self.path == "/healthz":
            self.answer(200, "ok\n", "text/plain; charset=utf-8")
        elif self.path == "/":
            page = PAGE.format(
                greeting=html.escape(GREETING), instance=html.escape(INSTANCE), visit=next(VISITS)
            )
            self.answer(200, page, "text/html; charset=utf-8")
        else:
            self.answer(404, "there is nothing here\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET

    def answer(self, status, text, media_type):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        if self.path != "/healthz":
            print(f"{self.command} {self.path} {args[1]}", flush=True)


def main():
    """Serves until SIGTERM, then finishes what is in flight."""
    port = int(os.environ.get("PORT", "8080"))
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    server.daemon_threads = False
    end = lambda *_: threading.Thread(target=server.shutdown).start()
    signal.signal(signal.SIGTERM, end)
    print(f"listening on port {port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    print("ended in order", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
