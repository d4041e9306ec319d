"""HTTP for the simulated API."""

import socketserver
import sys
import traceback
from collections.abc import Callable
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any

from exporter.simulator.api import SimulatedReply

Answer = Callable[[str, str, bytes], SimulatedReply]
"""From the method, the target (path and query) and the body of a request to its reply."""

_LONGEST_BODY = 1_000_000


class SimulatedServer(socketserver.ThreadingTCPServer):
    """Listens from the start, answers while `serve_forever` runs. Raises OSError if it cannot listen."""

    # Unlike http.server's, it does not ask the DNS for the host's name when it binds.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answer, host: str, port: int) -> None:
        self.answer = answer
        super().__init__((host, port), _Handler)
        self.url = f"http://{host}:{self.server_address[1]}"
        self.base_url = f"{self.url}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print where it failed, but not with which values: a key may be among them."""
        error = sys.exception()
        if error and not isinstance(error, OSError):
            traceback.print_tb(error.__traceback__)
            print(type(error).__name__, file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: SimulatedServer

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit() and int(length) <= _LONGEST_BODY):
            self.send_error(413)
            return
        reply = self.server.answer(self.command, self.path, self.rfile.read(int(length)))
        head = [
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}",
            f"Content-Length: {len(reply.body)}",
            *(f"{name}: {value}" for name, value in reply.headers),
        ]
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1") + reply.body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the request line holds the key."""
