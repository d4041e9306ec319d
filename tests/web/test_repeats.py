"""Scrapes that come again: answered as the first time, and only where they are whole requests for the metrics."""

import asyncio
import gzip
import itertools
from collections.abc import Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.metrics.exposition import Exposition, Part
from exporter.web import connection, repeats
from exporter.web.app import Application, Pages
from exporter.web.repeats import Repeats
from exporter.web.server import Server
from tests.support.fakes import FakeClock
from tests.support.serving import Open, ended, with_server

SCRAPE = b"GET /metrics HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"
PLAIN = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"


def families() -> Iterator[Metric]:
    yield GaugeMetricFamily("a", "b" * 100_000, 1)


def application(exposition: Exposition) -> Application:
    pages = Pages(
        exposition=exposition,
        status_page=lambda _: "status",
        healthy=lambda: "",
        ready=lambda: "",
        reload=lambda: "",
    )
    return Application(pages, "/metrics")


class Watched(Repeats):
    """Counts what it answers; its server is at hand."""

    def __init__(self, of: Application) -> None:
        super().__init__(of)
        self.of = of
        self.answered = 0
        self.server: Server

    def answer(self, request: bytes) -> bytes | None:
        answer = super().answer(request)
        self.answered += answer is not None
        return answer

    def serve(self) -> Server:
        self.server = Server(self.of, repeats=self)
        return self.server


@pytest.fixture
def watched(clock: FakeClock) -> Watched:
    return Watched(application(Exposition(lambda: [Part("all", families)], clock)))


async def reply(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


@pytest.mark.parametrize(
    "request_", [SCRAPE, PLAIN, PLAIN.replace(b"host", b"accept: application/openmetrics-text\r\nhost")]
)
def test_a_repeated_scrape_gets_the_same_answer(watched: Watched, request_: bytes) -> None:
    async def test(open_connection: Open) -> None:
        first, again = await open_connection(), await open_connection()
        replies = []
        for reader, writer in (first, first, again):
            writer.write(request_)
            head, body = await reply(reader)
            lines = head.splitlines()
            replies.append(([line for line in lines if not line.lower().startswith(b"date:")], body))
            assert len(lines) == len(replies[-1][0]) + 1
        assert replies[0] == replies[1] == replies[2]
        assert watched.answered == 2

    with_server(test, watched.serve)


def test_what_is_shown_is_never_older_than_a_second(clock: FakeClock) -> None:
    values = itertools.count()
    exposition = Exposition(lambda: [Part("all", lambda: [GaugeMetricFamily("a", "b", next(values))])], clock)
    watched = Watched(application(exposition))

    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        seen = []
        for _ in range(4):
            writer.write(SCRAPE)
            seen.append(gzip.decompress((await reply(reader))[1]).splitlines()[-1])
            clock.advance(0.6)
        assert seen == [b"a 0.0", b"a 0.0", b"a 1.0", b"a 1.0"]
        assert watched.answered == 3

    with_server(test, watched.serve)


@pytest.mark.parametrize(
    "request_",
    [
        SCRAPE.replace(b"GET", b"HEAD"),
        SCRAPE.replace(b"/metrics", b"/"),
        SCRAPE.replace(b"/metrics", b"/metrics/"),
        SCRAPE.replace(b"host", b"connection: close\r\nhost"),
        SCRAPE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        SCRAPE.replace(b"host", b"content-length: 3\r\nhost"),
        SCRAPE.replace(b"host", b"connection: upgrade\r\nupgrade: h2c\r\nhost"),
        SCRAPE.replace(b"host", b"x: " + b"x" * repeats._MAX_BYTES + b"\r\nhost"),
        SCRAPE * 2,
        SCRAPE + b"G",
        SCRAPE[:-1],
        b"\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_only_one_whole_scrape_is_remembered(watched: Watched, request_: bytes) -> None:
    async def test(open_connection: Open) -> None:
        for _ in range(2):
            reader, writer = await open_connection()
            writer.write(request_)
            if b"\r\n\r\n" in request_:
                await reader.readuntil(b"\r\n\r\n")
            else:
                await asyncio.sleep(0)
            writer.close()
        reader, writer = await open_connection()
        writer.write(PLAIN)
        await reply(reader)
        assert list(watched._known) == [PLAIN]
        assert watched.answered == 0

    with_server(test, watched.serve)


def test_known_bytes_inside_of_another_request_are_no_scrape(watched: Watched) -> None:
    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(PLAIN)
        await reply(reader)
        for begin in (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(PLAIN),
            b"GET /none HTTP/1.1\r\nx: ",
        ):
            _, other = await open_connection()
            reader, writer = await open_connection()
            writer.write(begin)
            await asyncio.sleep(0.05)
            writer.write(PLAIN)
            head, _ = await reply(reader)
            assert head.split()[1] in {b"405", b"404", b"400"}
            other.close()
        assert watched.answered == 0

    with_server(test, watched.serve)


def test_the_order_of_answers_is_that_of_requests(watched: Watched) -> None:
    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(PLAIN)
        await reply(reader)
        writer.write(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        writer.write(PLAIN)
        statuses = [(await reply(reader))[0].split()[1] for _ in range(4)]
        assert statuses == [b"404"] * 3 + [b"200"]

    with_server(test, watched.serve)


def test_who_reads_no_answers_costs_no_memory(watched: Watched) -> None:
    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        writer.write(PLAIN)
        await reply(reader)
        (served,) = watched.server._open
        asked = 0
        while not served.flow.write_paused:
            writer.write(PLAIN)
            asked += 1
            await asyncio.sleep(0.001)  # one by one: what comes together is not known
        held = served.transport.get_write_buffer_size()
        for _ in range(50):
            writer.write(PLAIN)
            await asyncio.sleep(0.001)
        assert served.transport.get_write_buffer_size() <= held
        assert watched.answered <= asked
        for _ in range(asked + 50):
            head, _ = await reply(reader)
            assert head.startswith(b"HTTP/1.1 200 ")

    with_server(test, watched.serve)


def test_ever_new_requests_cost_no_memory_and_hinder_nobody(watched: Watched) -> None:
    async def test(open_connection: Open) -> None:
        reader, writer = await open_connection()
        for number in range(100):
            writer.write(PLAIN.replace(b"x", b"x%d" % number))
            await reply(reader)
        assert len(watched._known) == repeats._MAX_KNOWN
        for _ in range(3):
            writer.write(PLAIN)
            await reply(reader)
        assert watched.answered == 2

    with_server(test, watched.serve)


def test_an_answer_ends_the_deadline_and_begins_the_wait(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "DEADLINE", 0.3)

    async def test(open_connection: Open) -> None:
        first = await open_connection()
        first[1].write(PLAIN)
        await reply(first[0])
        reader, writer = await open_connection()
        silent, _ = await open_connection()
        writer.write(PLAIN)
        await reply(reader)
        assert await ended(silent)  # the deadline of those that were opened before has passed
        writer.write(PLAIN)
        await reply(reader)
        assert watched.answered == 2
        writer.write(PLAIN[:-2])
        assert await ended(reader)

    with_server(test, watched.serve)


def test_an_unused_connection_is_closed_in_the_end(watched: Watched) -> None:
    async def test(open_connection: Open) -> None:
        watched.server.config.timeout_keep_alive = 0
        reader, writer = await open_connection()
        watched.learn(PLAIN, {"method": "GET", "path": "/metrics", "headers": []})
        writer.write(PLAIN)
        await reply(reader)
        assert await ended(reader)
        assert watched.answered == 1

    with_server(test, watched.serve)
