"""Which format a request's headers ask for, and whether compressed."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.negotiation import OPENMETRICS, TEXT, negotiate

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


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
        ("application/*", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=x", TEXT),
        ("text/plain;version=x..1", TEXT),
        (";;;,,,===", TEXT),
        # the higher quality wins, whatever stands first
        ("application/openmetrics-text;q=0.5,text/plain;q=0.9", TEXT),
        ("text/plain;q=0.5,application/openmetrics-text;q=0.9", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.2", TEXT),
        ("application/openmetrics-text;q=0.1,*/*;q=0.9", TEXT),
        # between equals: a name before a wildcard, then the first
        ("*/*,application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text,text/plain", OPENMETRICS),
        ("text/plain,application/openmetrics-text", TEXT),
        # nothing with q=0
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text; q=0.000, */*;q=0.1", TEXT),
        ("text/plain;q=0", OPENMETRICS),
        ("text/plain;q=0,*/*", OPENMETRICS),
        ("text/*;q=0,*/*;q=0.1", OPENMETRICS),
        ("text/plain;version=0.0.4;q=0,text/plain,*/*;q=0.1", OPENMETRICS),
        ("*/*;q=0", None),
        ("text/plain;q=0,application/openmetrics-text;q=0", None),
        ("*/*;q=0,text/plain", TEXT),
        # an offer whose quality is no number from 0 to 1 counts for nothing
        ("application/openmetrics-text;q=x", TEXT),
        ("application/openmetrics-text;q=2", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
    ],
)
def test_the_format_is_the_one_that_the_client_prefers(accept: str, content_type: str | None) -> None:
    form = negotiate(accept, "")
    assert (form and form.content_type) == content_type


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("gzip, deflate", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("deflate, gzip ; q=0.01", True),
        ("identity;q=0.5, gzip", True),
        ("", False),
        ("identity", False),
        ("identity, gzip;q=0.5", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("x-gzip2, gzipped", False),
        ("*", False),
    ],
)
def test_a_page_is_compressed_if_the_client_prefers_that(accepted: str, compressed: bool) -> None:
    form = negotiate("", accepted)
    assert form
    assert form.compressed == compressed


@given(st.text(), st.text())
def test_any_header_is_read(accept: str, accept_encoding: str) -> None:
    form = negotiate(accept, accept_encoding)
    assert form is None or form.content_type in {TEXT, OPENMETRICS}


def test_unusual_headers_take_no_memory() -> None:
    tracemalloc.start()
    try:
        for number in range(10_000):
            negotiate(f"text/plain;q=0.{number};version={number}" + "x" * 900, "gzip")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
