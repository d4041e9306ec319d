"""A server of raw sockets, which does with each connection what a test says."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

PEM = Path(__file__).parents[1] / "data" / "throw-away.pem"
"""A self-signed certificate for 127.0.0.1 and its key, made for these tests alone."""

Behaviour = Callable[[socket.socket], object]


class Peer:
    """Listens on loopback and treats each connection as it is told to, in a thread of its own."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections: list[socket.socket] = []
        self.requests: list[str] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._behave(connection)

    def end(self) -> None:
        for sock in (self._listening, *self.connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def read_request(self, connection: socket.socket) -> str:
        """Return the request; nothing where the client closes before it is complete."""
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(4096)
            if not received:
                return ""
            request += received
        self.requests.append(request.decode())
        return self.requests[-1]


def resources() -> tuple[int, int]:
    """Count the exchanges under way and the open descriptors of this process."""
    request_stats = [thread for thread in threading.enumerate() if thread.name == "exchange"]
    return len(request_stats), len(os.listdir("/proc/self/fd"))


def send(*parts: bytes) -> Behaviour:
    return lambda connection: connection.sendall(b"".join(parts))


def hang(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def over_tls(behave: Behaviour) -> Behaviour:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)

    def accept(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            behave(secured)

    return accept


def read_then(behave: Behaviour) -> Behaviour:
    def read_first(connection: socket.socket) -> None:
        connection.recv(4096)
        behave(connection)

    return read_first
