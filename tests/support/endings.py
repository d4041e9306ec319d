"""Clients that end their connection at different moments and in different ways, as port scans and health checks do."""

import base64
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

from tests.support.running import eventually
from tests.support.web_security import WebFiles, hashed

Moment = Callable[[socket.socket, ssl.SSLContext | None], None]

_WARM_UP = 20
_MOST_KB = 5 << 10
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
KINDS_OF_ENDING = tuple(product(MOMENTS, (False, True)))
"""Each with and without a reset."""


def end_connection(
    port: int,
    moment: Moment,
    context: ssl.SSLContext | None,
    reset: bool,
) -> None:
    """Connect, go on up to a moment, and end the connection with a FIN or a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        moment(raw, context)
        if reset:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Protection(NamedTuple):
    """What a server asks of its clients."""

    login: bool
    tls: bool

    def __str__(self) -> str:
        asked = [name for name, is_asked in self._asdict().items() if is_asked]
        return " and ".join(asked) or "plain"

    def write(self, files: WebFiles) -> ssl.SSLContext | None:
        """Write the web configuration, and return what a client needs for TLS."""
        users = {"basic_auth_users": {"prom": hashed()}} if self.login else {}
        files.write(tls={} if self.tls else None, **users)
        return files.client_context() if self.tls else None


PROTECTIONS = [Protection(login, tls) for tls in (False, True) for login in (False, True)]


class Memory(NamedTuple):
    """What `uncollected.py` reports."""

    objects: int
    resident_kb: int


def measure(output: Callable[[], str], ask: Callable[[], object]) -> Memory:
    """Return the report that is added to the `output` of `uncollected.py` when it is asked for one."""

    def reports() -> list[tuple[str, str]]:
        return re.findall(r"^objects=(\d+) resident_kb=(\d+)$", output(), re.MULTILINE)

    before = len(reports())
    ask()
    objects, kilobytes = eventually(lambda: reports()[before:])[0]
    return Memory(int(objects), int(kilobytes))


def check_memory(
    port: int, context: ssl.SSLContext | None, connections: int, memory: Callable[[], Memory]
) -> None:
    """Fail if so many connections of a kind of ending leave an object or more than 5 MB behind."""
    at_rest = memory().objects

    def end_many(moment: Moment, reset: bool, count: int) -> int:
        for _ in range(count):
            end_connection(port, moment, context, reset)
        return eventually(lambda: (now := memory()).objects <= at_rest and now.resident_kb)

    def growth_by(moment: Moment, reset: bool) -> int:
        before = end_many(moment, reset, _WARM_UP)
        return end_many(moment, reset, connections) - before

    for moment, reset in KINDS_OF_ENDING:
        growth = growth_by(moment, reset)
        if growth > _MOST_KB:  # memory that is kept for reuse grows once, a leak grows again
            growth = growth_by(moment, reset)
        kind = f"{moment.__name__}, {'reset' if reset else 'FIN'}"
        print(f"{kind}: {growth / 1024:.1f} MB")
        assert growth <= _MOST_KB, kind
