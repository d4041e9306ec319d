"""The HTTP side, called as a server calls it."""

import asyncio
import gzip
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.metrics.exposition import Exposition, Part
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.service import Service
from exporter.state.store import Store
from exporter.web.app import Application, Pages
from tests.support.fakes import FakeClock

KEY = "S3CR+T/key"
METRICS = b"# HELP a b\n# TYPE a gauge\na 1.0\n"
READABLE = ["/", "/metrics", "/-/healthy", "/-/ready"]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(application: Application, path: str = "/metrics", method: str = "GET", **headers: str) -> Answer:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw}
    asyncio.run(application(scope, receive, send))
    start, body = sent
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    answered = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    assert len(answered) == len(start["headers"])
    return Answer(start["status"], answered, body["body"])


class Reloads:
    def __init__(self, *problems: str) -> None:
        self.problems = list(problems)
        self.count = 0

    def __call__(self) -> str | None:
        self.count += 1
        return self.problems.pop(0) if self.problems else None


def families() -> Iterator[Metric]:
    yield GaugeMetricFamily("a", "b", 1)


def pages() -> Pages:
    return Pages(
        exposition=Exposition(lambda: [Part("all", families)], FakeClock()),
        status_page=lambda _: "<h1>Désolé</h1>",
        health_problem=lambda: None,
        not_ready_reason=lambda: None,
        reload=Reloads(),
    )


@pytest.fixture
def application() -> Application:
    return Application(pages(), "/metrics")


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/", "text/html; charset=utf-8", "<h1>Désolé</h1>".encode()),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", METRICS),
        ("/-/healthy", "text/plain; charset=utf-8", b"healthy\n"),
        ("/-/ready", "text/plain; charset=utf-8", b"ready\n"),
    ],
)
def test_what_can_be_read(application: Application, path: str, content_type: str, body: bytes) -> None:
    answer = ask(application, path)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, content_type, body)
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["date"].endswith(" GMT")
    head = ask(application, path, "HEAD")
    same_second = {**answer.headers, "date": head.headers["date"]}
    assert head == replace(answer, headers=same_second, body=b"")


@pytest.mark.parametrize("path", READABLE)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "BREW"])
def test_other_methods(application: Application, path: str, method: str) -> None:
    answer = ask(application, path, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_reloading_takes_a_post(method: str) -> None:
    reload = Reloads()
    answer = ask(Application(replace(pages(), reload=reload), "/metrics"), "/-/reload", method)
    assert (answer.status, answer.headers["allow"], reload.count) == (405, "POST", 0)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "BREW"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "/metrics/",
        "/metrics/x",
        "/Metrics",
        "/-/",
        "/-/quit",
        "/favicon.ico",
        "/../metrics",
        "/é",
        "*",
    ],
)
def test_other_paths(application: Application, path: str, method: str) -> None:
    answer = ask(application, path, method)
    assert answer.status == 404
    assert answer.body == (b"" if method == "HEAD" else b"Not Found\n")


def test_reloading() -> None:
    reload = Reloads("config.yaml: api_key: is empty")
    application = Application(replace(pages(), reload=reload), "/metrics")
    refused = ask(application, "/-/reload", "POST")
    assert (refused.status, refused.body) == (500, b"config.yaml: api_key: is empty\n")
    accepted = ask(application, "/-/reload", "POST")
    assert (accepted.status, accepted.body, reload.count) == (200, b"reloaded\n", 2)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "exporter:10035", "origin": "http://exporter:10035"}, 200),
        ({"sec_fetch_site": "same-origin", "origin": "https://other.name", "host": "behind-a-proxy"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "cross-site", "origin": "http://evil.example"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"host": "localhost:10035", "origin": "http://evil.example"}, 403),
        ({"host": "localhost:10035", "origin": "http://localhost:3000"}, 403),
        ({"host": "localhost:10035", "origin": "null"}, 403),
    ],
)
def test_no_page_of_another_site_can_reload(headers: dict[str, str], status: int) -> None:
    reload = Reloads()
    answer = ask(Application(replace(pages(), reload=reload), "/metrics"), "/-/reload", "POST", **headers)
    assert (answer.status, reload.count) == (status, 1 if status == 200 else 0)


@pytest.mark.parametrize(("path", "state"), [("/-/healthy", "healthy"), ("/-/ready", "ready")])
def test_what_is_wrong_is_said(path: str, state: str) -> None:
    ill = Application(
        replace(pages(), health_problem=lambda: "it is ill", not_ready_reason=lambda: "it is ill"), "/metrics"
    )
    answer = ask(ill, path)
    assert (answer.status, answer.body) == (503, f"not {state}: it is ill\n".encode())
    assert ask(ill).status == 200, "metrics are served all the same"


@pytest.mark.parametrize(("accepted", "compressed"), [("gzip", True), ("identity", False)])
def test_compression_is_negotiated(application: Application, accepted: str, compressed: bool) -> None:
    answer = ask(application, accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == ("gzip" if compressed else None)
    assert (gzip.decompress(answer.body) if compressed else answer.body) == METRICS
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


def test_a_client_that_refuses_every_format_gets_406(application: Application) -> None:
    answer = ask(application, accept="*/*;q=0")
    assert (answer.status, answer.headers["vary"]) == (406, "Accept, Accept-Encoding")


def test_the_format_is_negotiated(application: Application) -> None:
    answer = ask(
        application, accept="application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.2"
    )
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.body == METRICS + b"# EOF\n"


@pytest.mark.parametrize("value", ["", "x" * 100_000, ",;=" * 9999, "text/plain;version=x", "\xff\x00é"])
def test_hostile_headers(application: Application, value: str) -> None:
    answer = ask(application, accept=value, accept_encoding=value)
    assert (answer.status, answer.body) == (200, METRICS)


def test_another_telemetry_path() -> None:
    application = Application(pages(), "/probe/sms")
    assert ask(application, "/probe/sms").body == METRICS
    assert ask(application, "/metrics").status == 404


def test_nothing_but_http_is_answered(application: Application) -> None:
    sent: list[object] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application({"type": "lifespan"}, receive, send))
    assert not sent


# --- the pages of a real service


def service(clock: FakeClock, *names: str | None) -> Service:
    accounts = tuple(AccountSettings(name, KeySource(Secret(KEY))) for name in names)
    settings = Settings(accounts, base_url="http://127.0.0.1:9")
    return Service(settings, lambda: settings, RateLimiters(5, clock), Store(), None, clock, "/metrics")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "a&b</title>"]
)
def test_the_status_page_escapes_names(clock: FakeClock, name: str) -> None:
    answer = ask(service(clock, name).application(), "/")
    assert answer.status == 200
    page = answer.body.decode()
    assert name not in page
    assert not any(evil in page for evil in ("<script>alert", "<img src=x", "a&b", "b</title>"))
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_no_page_shows_the_key(clock: FakeClock) -> None:
    for names in ([None], ["one", "two"]):
        application = service(clock, *names).application()
        for path in READABLE:
            answer = ask(application, path)
            assert answer.status == (503 if path == "/-/ready" else 200)
            assert KEY.encode() not in answer.body


def test_scrapes_render_once_a_second(clock: FakeClock) -> None:
    application = service(clock, None).application()
    first = ask(application)
    clock.step(77)  # what is exposed depends on the wall clock
    assert ask(application).body == first.body
    clock.advance(1)
    assert ask(application).body != first.body
