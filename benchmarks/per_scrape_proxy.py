"""A stand-in for json_exporter: each scrape is a request to the API, and fails where that does. BASE_URL PORT."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


class Handler(BaseHTTPRequestHandler):
    """Asks what is left on the account, and shows it."""

    protocol_version = "HTTP/1.1"
    base_url = ""

    def do_GET(self) -> None:
        """Answer a scrape."""
        reply = requests.get(f"{self.base_url}/me", params={"apiKey": "key"}, timeout=5)
        try:
            balance = float(reply.json()["credits"]["balance"])
            status, body = 200, b"smspartner_balance %f\n" % balance
        except (ValueError, LookupError):
            status, body = 503, reply.content
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


if __name__ == "__main__":
    Handler.base_url = sys.argv[1]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
