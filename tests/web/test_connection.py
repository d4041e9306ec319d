"""Connections: how long they may take, which are put out when too many are open, and which stay."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.web import connection
from exporter.web.app import Response, send_reply
from exporter.web.security import WebSecurity
from exporter.web.server import Server
from tests.support.serving import Open, ended, with_server
from tests.support.web_security import WebFiles

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    await send_reply(Response(200, b"answer\n"), scope, send)


def server(security: WebSecurity | None = None) -> Callable[[], Server]:
    return lambda: Server(answer, security)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    return await reader.readuntil(b"answer\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nhost: x\r\n",
        b"\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345",
    ],
)
def test_what_stays_half_said_is_ended(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DEADLINE", 0.3)

    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(sent)
        if sent.startswith(b"POST"):
            await reader.readuntil(b"answer\n")
            writer.write(b"6")
        assert await ended(reader)

    with_server(test, server())


def test_dripping_wins_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DEADLINE", 0.5)

    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(b"GET / HTTP/1.1\r\nx: ")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await ended(reader)
        dripping.cancel()

    with_server(test, server())


def test_an_idle_connection_outlives_the_deadline_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DEADLINE", 0.3)

    async def test(open_connection: Open) -> None:
        idle, silent = await open_connection(), await open_connection()
        assert await ask(*idle)
        assert await ended(silent[0])
        later = await open_connection()
        assert await ended(later[0])  # two deadlines have passed
        assert await ask(*idle)

    with_server(test, server())


def test_where_too_many_are_open_the_oldest_that_never_asked_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_OPEN", 3)

    async def test(open_connection: Open) -> None:
        served = await open_connection()
        await ask(*served)
        silent = [await open_connection() for _ in range(4)]
        assert await ended(silent[0][0])
        assert await ended(silent[1][0])
        assert await ask(*served)
        assert await ask(*silent[2])
        assert await ask(*silent[3])
        await open_connection()
        assert await ended(served[0])  # all have asked: the one that did so first
        assert await ask(*silent[2])

    with_server(test, server())


def test_a_connection_that_is_being_answered_stays_when_too_many_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "MAX_OPEN", 3)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer_late(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await may_answer.wait()
        await answer(scope, receive, send)

    async def test(open_connection: Open) -> None:
        slow_reader, slow_writer = await open_connection()  # the oldest, and it has never been answered
        slow_writer.write(REQUEST)
        await asked.wait()
        silent = [await open_connection() for _ in range(4)]
        assert await ended(silent[0][0])
        assert await ended(silent[1][0])
        may_answer.set()
        assert await slow_reader.readuntil(b"answer\n")

    with_server(test, lambda: Server(answer_late))


def test_an_unfinished_handshake_is_ended(files: WebFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DEADLINE", 0.3)

    async def test(open_connection: Open) -> None:
        silent, half = await open_connection(), await open_connection()
        half[1].write(b"\x16\x03\x01\x02\x00\x01")
        plain = await open_connection()
        plain[1].write(REQUEST)
        for reader, _ in silent, half, plain:
            assert await ended(reader)

    with_server(test, server(WebSecurity(files.write(tls={}))))


def test_requests_at_once_are_answered_in_their_order() -> None:
    async def echo(scope: Any, _receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await send_reply(Response(200, scope["path"].encode() + b"\n"), scope, send)

    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(500)))
        for number in range(500):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readline() == b"/%d\n" % number

    with_server(test, lambda: Server(echo))


@pytest.mark.parametrize(
    "begin",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nx: ",
        b"GET /",
        b"\r\n" * 10_000,
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;x=",
        b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ",
    ],
    ids=["header", "target", "empty lines", "body", "chunk extension", "trailer"],
)
def test_no_part_of_a_request_may_be_endless(begin: bytes) -> None:
    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(begin + b"y" * connection.MAX_REQUEST)
        text = await reader.read()
        assert b"HTTP/1.1 400 Bad Request" in text

    with_server(test, server())


def test_many_requests_at_once_over_tls(files: WebFiles) -> None:
    async def test(open_connection: Open) -> None:
        _, first = await open_connection()
        host, port = first.get_extra_info("peername")
        context = files.client_context()
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
        writer.write(REQUEST * 20)
        for _ in range(20):
            await reader.readuntil(b"answer\n")
        writer.close()
        await writer.wait_closed()

    with_server(test, server(WebSecurity(files.write(tls={}))))


def test_ending_waits_for_nobody_who_is_silent(files: WebFiles) -> None:
    async def test(open_connection: Open) -> None:
        for _ in range(5):
            await open_connection()

    async def timed() -> float:
        begin = asyncio.get_running_loop().time()
        await asyncio.to_thread(with_server, test, server(WebSecurity(files.write(tls={}))))
        return asyncio.get_running_loop().time() - begin

    assert asyncio.run(timed()) < 5
