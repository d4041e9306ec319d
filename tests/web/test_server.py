"""The web server on real sockets."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from exporter.metrics.exposition import Exposition
from exporter.web.app import Application, Pages
from exporter.web.server import Server, listen
from tests.support.fakes import FakeClock


class Serving:
    """A server in a thread of its own."""

    def __init__(self) -> None:
        pages = Pages(
            exposition=Exposition(lambda: iter(()), FakeClock()),
            status_page=lambda _: "<h1>Hello</h1>" + " " * 100_000,
            health_problem=lambda: None,
            not_ready_reason=lambda: None,
            reload=lambda: None,
        )
        self._application = Application(pages, "/metrics")
        self._listening = listen("127.0.0.1", 0)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    async def _serve(self) -> None:
        self._server = Server(self._application)
        self._loop = asyncio.get_running_loop()
        self._started.set()
        await self._server.serve(sockets=[self._listening])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def end(self) -> float:
        """End it and return how long that took."""
        started = time.monotonic()
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended before
            self._loop.call_soon_threadsafe(self._server.end)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._listening.close()
        return time.monotonic() - started


@pytest.fixture
def serving() -> Iterator[Serving]:
    server = Serving()
    yield server
    server.end()


def test_requests_share_a_connection(serving: Serving) -> None:
    client = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
    client.connect()
    connection = client.sock
    for method, path, status in [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/no", 404),
        ("GET", "/metrics", 200),
    ]:
        client.request(method, path)
        reply = client.getresponse()
        body = reply.read()
        assert (reply.status, reply.getheader("server")) == (status, None)
        assert len(body) == (0 if method == "HEAD" else int(reply.headers["content-length"]))
        assert client.sock is connection
    client.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["a header too long", "TLS", "HTTP/0.9", "no host"],
)
def test_what_is_no_request_is_refused(serving: Serving, request_bytes: bytes) -> None:
    with serving.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request_bytes)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert requests.get(serving.url, timeout=10).ok


def test_a_target_may_be_a_whole_url(serving: Serving) -> None:
    with serving.connect() as connection:
        connection.sendall(b"GET http://any.host:1/-/healthy?x HTTP/1.1\r\nhost: x\r\n\r\n")
        reply = b""
        while not reply.endswith(b"\r\n\r\nhealthy\n") and (part := connection.recv(1000)):
            reply += part
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"\r\n\r\nhealthy\n")


def test_silent_connections_hinder_nobody(serving: Serving) -> None:
    silent = [serving.connect() for _ in range(50)]
    for connection in silent[::2]:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    assert requests.get(serving.url, timeout=10).ok
    for connection in silent:
        connection.close()


def test_it_ends_at_once_whatever_hangs(serving: Serving) -> None:
    silent, half, done = (serving.connect() for _ in range(3))
    half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    done.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    assert done.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert serving.end() < 5
    for connection in (silent, half, done):
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        serving.connect()
