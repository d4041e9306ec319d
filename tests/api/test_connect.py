"""Connecting to a host whose addresses are partly silent or closed, over real sockets."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.api.connect import STAGGER, connect
from exporter.api.transport import Transport
from exporter.clock import SystemClock
from exporter.model import Failure, Reason
from tests.support.peer import Peer, resources
from tests.support.running import eventually, free_port

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listener on ::1 with a full backlog: the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0))
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_INET6))
            waiting.settimeout(0.3)
            try:
                waiting.connect(address_of(listening))
            except TimeoutError:
                break
        yield listening


def address_of(listening: socket.socket) -> tuple[str, int]:
    host, port, *_ = listening.getsockname()
    return host, port


@pytest.fixture
def peer() -> Iterator[Peer]:
    def answer(connection: socket.socket) -> None:
        started.read_request(connection)
        connection.sendall(REPLY)

    started = Peer(answer)
    yield started
    started.end()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let every name have these addresses, in this order."""

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host, port in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_silent_address_is_not_waited_for_and_named_in_the_log_once(
    monkeypatch: pytest.MonkeyPatch, silent: socket.socket, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    resolve_to(monkeypatch, address_of(silent), address_of(silent), ("127.0.0.1", peer.port))
    clock = SystemClock()
    transport = Transport("http://api.example/v1", clock)
    before = resources()
    began = time.monotonic()
    for _ in range(2):
        assert transport.get("/me", {}, clock.monotonic() + 30).body == b"{}"
    assert time.monotonic() - began < 4
    assert len(peer.requests) == 2  # one for each call
    assert [vars(record)["addresses"] for record in caplog.records if record.levelno == logging.WARNING] == [
        "::1: no answer, ::1: no answer"
    ]
    eventually(lambda: resources() == before)


def test_a_closed_address_is_passed_over_at_once(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    resolve_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", peer.port))
    began = time.monotonic()
    sock, unanswered = connect("api.example", 80, 30, SystemClock())
    sock.close()
    assert time.monotonic() - began < STAGGER
    assert unanswered == ("127.0.0.1: connection refused",)


def test_an_address_that_answers_late_is_taken_if_the_others_refuse(
    monkeypatch: pytest.MonkeyPatch, silent: socket.socket
) -> None:
    closed = ("127.0.0.1", free_port())
    resolve_to(monkeypatch, address_of(silent), closed)

    def accept_two() -> None:
        for _ in range(2):
            silent.accept()[0].close()

    accepting = threading.Timer(2 * STAGGER, accept_two)
    accepting.start()  # makes room in the backlog: the kernel's second SYN is answered
    sock, unanswered = connect("api.example", 80, 30, SystemClock())
    sock.close()
    accepting.join()
    assert unanswered == ("127.0.0.1: connection refused",)


def test_a_single_address_has_the_whole_time(monkeypatch: pytest.MonkeyPatch, silent: socket.socket) -> None:
    resolve_to(monkeypatch, address_of(silent))
    clock = SystemClock()
    began = time.monotonic()
    with pytest.raises(Failure) as caught:
        Transport("http://api.example/v1", clock).get("/me", {}, clock.monotonic() + 1)
    assert 0.9 < time.monotonic() - began < 5
    assert caught.value.reason is Reason.TIMEOUT


def test_the_first_address_says_why_none_can_be_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    clock = SystemClock()
    with pytest.raises(Failure) as caught:
        Transport("http://api.example/v1", clock).get("/me", {}, clock.monotonic() + 30)
    assert (caught.value.reason, caught.value.detail) == (Reason.UNREACHABLE, "connection refused")
