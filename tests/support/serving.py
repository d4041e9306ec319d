"""A web server in the same event loop as its test."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from exporter.web.server import Server, listen

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def with_server(test: Callable[[Open], Awaitable[None]], make: Callable[[], Server]) -> None:
    """Run a test against a server, made inside the loop, on a free port."""

    async def run() -> None:
        listening = listen("127.0.0.1", 0)
        port = listening.getsockname()[1]
        server = make()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        writers = []

        async def open_connection() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            return reader, writer

        try:
            async with asyncio.timeout(30):
                await test(open_connection)
        finally:
            server.end()
            await asyncio.wait_for(serving, 5)
            for writer in writers:
                writer.close()

    asyncio.run(run())


async def ended(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        await reader.read()
    return True
