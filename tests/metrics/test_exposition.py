"""Rendering: in the format that is asked for, at most once a second."""

import functools
import gzip
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.metrics.exposition import Exposition, Part
from tests.support.fakes import FakeClock

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Counting:
    """Yields one metric: how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Iterator[Part]:
        yield Part("counting", self._collect)

    def _collect(self) -> Iterator[Metric]:
        self.calls += 1
        yield GaugeMetricFamily("calls", "So many.", self.calls)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT),
        ("text/html,application/xhtml+xml", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=x", TEXT),
        ("text/plain;version=x..1", TEXT),
        (";;;,,,===", TEXT),
    ],
)
def test_the_format_is_one_that_was_asked_for(clock: FakeClock, accept: str, content_type: str) -> None:
    page = Exposition(Counting(), clock).render(accept, compress=False)
    assert page.content_type == content_type
    end = b"# EOF\n" if content_type == OPENMETRICS else b""
    assert page.body == b"# HELP calls So many.\n# TYPE calls gauge\ncalls 1.0\n" + end


@given(st.text())
def test_any_accept_header_gets_metrics(accept: str) -> None:
    assert b"calls 1.0\n" in Exposition(Counting(), FakeClock()).render(accept, compress=False).body


@pytest.mark.parametrize("accept", ["", PROMETHEUS_3])
def test_compressed_it_is_the_same(clock: FakeClock, accept: str) -> None:
    exposition = Exposition(lambda: [Part("all", lambda: [GaugeMetricFamily("a", "b", 1)])], clock)
    plain, packed = (exposition.render(accept, compress) for compress in (False, True))
    assert gzip.decompress(packed.body) == plain.body
    assert packed.content_type == plain.content_type


def test_each_variant_is_rendered_at_most_once_a_second(clock: FakeClock) -> None:
    counting = Counting()
    exposition = Exposition(counting, clock)
    variants = [(accept, compress) for accept in ("", PROMETHEUS_2) for compress in (False, True)]
    pages = [exposition.render(*variant) for variant in variants]
    for _ in range(9):
        clock.advance(0.1)
        assert [exposition.render(*variant) for variant in variants] == pages
    assert counting.calls == 4
    clock.advance(0.1)
    assert b"calls 5.0\n" in exposition.render("", compress=False).body
    assert counting.calls == 5


def test_time_is_the_one_that_never_steps(clock: FakeClock) -> None:
    counting = Counting()
    exposition = Exposition(counting, clock)
    for step in (0, -86400, 2 * 86400):
        clock.step(step)
        exposition.render("", compress=False)
    assert counting.calls == 1


def test_unusual_headers_cost_neither_time_nor_memory(clock: FakeClock) -> None:
    counting = Counting()
    exposition = Exposition(counting, clock)
    exposition.render("", compress=True)
    tracemalloc.start()
    try:
        for number in range(10_000):
            exposition.render(f"text/plain;q=0.{number};version={number}" + "x" * 900, compress=True)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counting.calls == 1
    assert held < 100_000


def family(**values: float) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily("a", "b", labels=["c"])
    for label, value in values.items():
        gauge.add_metric([label], value)
    return gauge


def test_a_family_goes_on_from_part_to_part(clock: FakeClock) -> None:
    parts = [
        Part("one", lambda: [family(x=1), CounterMetricFamily("n", "m", 7)]),
        Part("two", lambda: [family()]),
        Part("three", lambda: [family(y=2, z=3)]),
    ]
    page = Exposition(lambda: parts, clock).render(PROMETHEUS_3, compress=False)
    assert page.body.decode().splitlines() == [
        *("# HELP a b", "# TYPE a gauge", 'a{c="x"} 1.0', 'a{c="y"} 2.0', 'a{c="z"} 3.0'),
        *("# HELP n m", "# TYPE n counter", "n_total 7.0", "# EOF"),
    ]


def test_what_did_not_change_is_not_encoded_again(clock: FakeClock) -> None:
    collected: list[str] = []
    states: dict[str, object] = {"one": (1, "x"), "two": None}

    def collect(name: str) -> list[Metric]:
        collected.append(name)
        return [family(**{name: len(collected)})]

    exposition = Exposition(
        lambda: [Part(name, functools.partial(collect, name), state) for name, state in states.items()], clock
    )

    def shown() -> list[str]:
        clock.advance(1)
        return exposition.render("", compress=False).body.decode().splitlines()[2:]

    assert shown() == ['a{c="one"} 1.0', 'a{c="two"} 2.0']
    assert shown() == ['a{c="one"} 1.0', 'a{c="two"} 3.0']
    states["one"] = (2, "x")
    assert shown() == ['a{c="one"} 4.0', 'a{c="two"} 5.0']
    one = states.pop("one")
    assert shown() == ['a{c="two"} 6.0']
    states["one"] = one
    assert shown() == ['a{c="two"} 7.0', 'a{c="one"} 8.0']
    assert collected == ["one", "two", "two", "one", "two", "two", "two", "one"]
