"""Connections that clients end at any moment leave nothing behind, without Python's garbage collection."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.web.app import Response, send_reply
from exporter.web.auth import SecurityMiddleware
from exporter.web.security import WebSecurity
from exporter.web.server import Server
from tests.support.endings import MOMENTS, PROTECTIONS, Moment, Protection, end_connection
from tests.support.serving import Open, with_server
from tests.support.uncollected import KINDS
from tests.support.web_security import WebFiles

CLIENTS = 20
PAGE = b"x" * 100_000


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    await send_reply(Response(200, PAGE), scope, send)


@pytest.fixture
def without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def count_objects() -> int:
    return sum(isinstance(each, KINDS) for each in gc.get_objects())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "reset"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
@pytest.mark.usefixtures("without_collection")
def test_an_ended_connection_leaves_nothing_in_memory(
    tmp_path: Path,
    protection: Protection,
    moment: Moment,
    reset: bool,
) -> None:
    files = WebFiles(tmp_path)
    context = protection.write(files)
    security = WebSecurity(files.path)

    async def test(open_connection: Open) -> None:
        _, writer = await open_connection()
        port = writer.get_extra_info("peername")[1]
        await asyncio.sleep(0.2)  # let the server take this connection first
        before = count_objects()
        for _ in range(CLIENTS):
            await asyncio.to_thread(end_connection, port, moment, context, reset)
        async with asyncio.timeout(5):
            while count_objects() > before:
                await asyncio.sleep(0.05)

    with_server(test, lambda: Server(SecurityMiddleware(answer, security), security))
