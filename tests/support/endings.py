"""Clients that end their connection at different moments and in different ways, as port scans and health checks do."""

import base64
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable

Client = Callable[[str, int, ssl.SSLContext | None], None]

_LOGIN = base64.b64encode(b"prom:guess").decode()
_REQUEST = f"GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Basic {_LOGIN}\r\n\r\n".encode()


def before_the_handshake(raw: socket.socket, _: ssl.SSLContext | None) -> None:
    """Say nothing."""


def in_the_handshake(raw: socket.socket, context: ssl.SSLContext | None) -> None:
    """Begin the handshake; without TLS, begin a request."""
    if context is None:
        raw.sendall(_REQUEST[:20])
        return
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    raw.sendall(outgoing.read())
    raw.recv(1)


def after_the_handshake(raw: socket.socket, context: ssl.SSLContext | None) -> None:
    """Finish the handshake."""
    _session(raw, context)


def with_a_request(raw: socket.socket, context: ssl.SSLContext | None) -> None:
    """Ask, and do not wait for the answer."""
    _session(raw, context)(_REQUEST)


def with_requests(raw: socket.socket, context: ssl.SSLContext | None) -> None:
    """Ask for more than is ever read."""
    _session(raw, context)(_REQUEST * 20)


def _session(raw: socket.socket, context: ssl.SSLContext | None) -> Callable[[bytes], None]:
    """Return what sends bytes. It leaves the socket open, so that the kind of its ending is the test's choice."""
    if context is None:
        return raw.sendall
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(16384))
    raw.sendall(outgoing.read())

    def send(data: bytes) -> None:
        client.write(data)
        raw.sendall(outgoing.read())

    return send


MOMENTS = (before_the_handshake, in_the_handshake, after_the_handshake, with_a_request, with_requests)


def end_connection(
    port: int,
    moment: Callable[[socket.socket, ssl.SSLContext | None], None],
    context: ssl.SSLContext | None,
    reset: bool,
) -> None:
    """Connect, go on up to a moment, and end the connection with a FIN or a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        moment(raw, context)
        if reset:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
