"""HTTP for the simulated API: sends replies as they are, or spoils their delivery as they ask for."""

import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any

from exporter.simulator.api import SimulatedReply

Answer = Callable[[str, str, bytes], SimulatedReply]
"""From the method, the target (path and query) and the body of a request to its reply."""

DELIVERIES = ("hang", "slow", "close", "truncated", "drip_headers", "drip_body", "endless_body")
UNANSWERED = frozenset({"hang", "close"})

_LAST_OF_CONNECTION = UNANSWERED | {"truncated", "endless_body"}
_LONGEST_BODY = 1_000_000
_SPACES = b" " * 65536


class SimulatedServer(socketserver.ThreadingTCPServer):
    """Listens from the start, answers while `serve_forever` runs. Raises OSError where it cannot listen."""

    # Unlike http.server's, it does not ask the DNS for the host's name when it binds.
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, answer: Answer, host: str, port: int) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__((host, port), _Handler)
        self.url = f"http://{host}:{self.server_address[1]}"
        self.base_url = f"{self.url}/v1"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection a thread that `stop` can end."""
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._connections[thread] = request
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, from its own thread."""
        super().shutdown_request(request)
        self._connections.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say where it failed, but not with which values: a key may be among them."""
        error = sys.exception()
        if error and not isinstance(error, OSError):
            traceback.print_tb(error.__traceback__)
            print(type(error).__name__, file=sys.stderr)

    def stop(self) -> None:
        """End `serve_forever` and every connection, hanging ones included, and close the port."""
        self.shutdown()
        self.stopping.set()
        for thread, connection in list(self._connections.items()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(1)
        self.server_close()


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
        self.close_connection = self.close_connection or reply.delivery in _LAST_OF_CONNECTION
        try:
            self._deliver(reply, self._head(reply))
        except OSError:
            self.close_connection = True

    do_POST = do_GET  # noqa: N815

    def _deliver(self, reply: SimulatedReply, head: bytes) -> None:
        body = reply.body
        match reply.delivery:
            case "ok":
                self.wfile.write(head + body)
            case "slow":
                if not self.server.stopping.wait(reply.pause):
                    self.wfile.write(head + body)
            case "drip_headers":
                self._drip(head, reply.pause)
                self.wfile.write(body)
            case "drip_body":
                self.wfile.write(head)
                self._drip(body, reply.pause)
            case "truncated":
                self.wfile.write(head + body[: len(body) // 2])
            case "endless_body":
                self.wfile.write(head + body[:-1])
                while True:
                    self.wfile.write(_SPACES)
            case "hang":
                self.connection.settimeout(None)
                while self.connection.recv(4096):
                    pass

    def _head(self, reply: SimulatedReply) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}"]
        lines.append(f"Content-Type: {reply.content_type}")
        lines.extend(f"{name}: {value}" for name, value in reply.headers)
        if reply.delivery != "endless_body":
            lines.append(f"Content-Length: {len(reply.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _drip(self, data: bytes, pause: float) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.server.stopping.wait(pause)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the request line holds the key."""
