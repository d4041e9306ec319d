"""Rendering: in the format that is asked for, at most once a second."""

import functools
import gzip
from collections.abc import Iterator

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporter.metrics.exposition import Exposition, Part
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from tests.support.fakes import FakeClock

FORMATS = [
    Format(content_type, compressed) for content_type in (TEXT, OPENMETRICS) for compressed in (False, True)
]
PLAIN = FORMATS[0]


class Counting:
    """Yields one metric: how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Iterator[Part]:
        yield Part("counting", self._collect)

    def _collect(self) -> Iterator[Metric]:
        self.calls += 1
        yield GaugeMetricFamily("calls", "So many.", self.calls)


@pytest.mark.parametrize(("content_type", "end"), [(TEXT, b""), (OPENMETRICS, b"# EOF\n")])
def test_a_page_is_the_same_compressed(clock: FakeClock, content_type: str, end: bytes) -> None:
    exposition = Exposition(Counting(), clock)
    page = exposition.render(Format(content_type, compressed=False))
    assert page == b"# HELP calls So many.\n# TYPE calls gauge\ncalls 1.0\n" + end
    assert gzip.decompress(exposition.render(Format(content_type, compressed=True))) == page.replace(
        b"1.0", b"2.0"
    )


def test_each_form_is_rendered_at_most_once_a_second(clock: FakeClock) -> None:
    counting = Counting()
    exposition = Exposition(counting, clock)
    pages = [exposition.render(form) for form in FORMATS]
    for _ in range(9):
        clock.advance(0.1)
        assert [exposition.render(form) for form in FORMATS] == pages
    assert counting.calls == 4
    clock.advance(0.1)
    assert b"calls 5.0\n" in exposition.render(PLAIN)
    assert counting.calls == 5


def test_a_stepped_wall_clock_renders_nothing_anew(clock: FakeClock) -> None:
    counting = Counting()
    exposition = Exposition(counting, clock)
    for step in (0, -86400, 2 * 86400):
        clock.step(step)
        exposition.render(PLAIN)
    assert counting.calls == 1


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
    page = Exposition(lambda: parts, clock).render(Format(OPENMETRICS, compressed=False))
    assert page.decode().splitlines() == [
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
        return exposition.render(PLAIN).decode().splitlines()[2:]

    assert shown() == ['a{c="one"} 1.0', 'a{c="two"} 2.0']
    assert shown() == ['a{c="one"} 1.0', 'a{c="two"} 3.0']
    states["one"] = (2, "x")
    assert shown() == ['a{c="one"} 4.0', 'a{c="two"} 5.0']
    one = states.pop("one")
    assert shown() == ['a{c="two"} 6.0']
    states["one"] = one
    assert shown() == ['a{c="two"} 7.0', 'a{c="one"} 8.0']
    assert collected == ["one", "two", "two", "one", "two", "two", "two", "one"]
