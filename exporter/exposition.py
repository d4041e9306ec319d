"""The metrics as bytes, rendered at most once a second, however often they are scraped."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import exposition as text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.clock import Clock

_FRESH_FOR = 1.0
_GZIP_LEVEL = 4  # 9, the usual choice, takes three times as long for 3 % less
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Page:
    """What answers a scrape."""

    content_type: str
    body: bytes


class _Families:
    """What prometheus_client's encoders take for a registry."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self.collect = collect


class Exposition:
    """Renders what `collect` yields in the format that a scraper accepts, and remembers it for a second."""

    def __init__(self, collect: Callable[[], Iterator[Metric]], clock: Clock) -> None:
        self._families = _Families(collect)
        self._clock = clock
        self._rendered: dict[tuple[bool, bool], tuple[float, Page]] = {}

    def render(self, accept: str, compress: bool) -> Page:
        """Return the page for an Accept header, compressed with gzip if asked for."""
        as_openmetrics = _accepts_openmetrics(accept)
        now = self._clock.monotonic()
        rendered = self._rendered.get((as_openmetrics, compress))
        if rendered and now - rendered[0] < _FRESH_FOR:
            return rendered[1]
        encode = openmetrics.generate_latest if as_openmetrics else text.generate_latest
        body = encode(self._families)
        page = Page(
            _OPENMETRICS if as_openmetrics else _TEXT,
            gzip.compress(body, _GZIP_LEVEL, mtime=0) if compress else body,
        )
        self._rendered[as_openmetrics, compress] = (now, page)
        return page


def _accepts_openmetrics(accept: str) -> bool:
    # prometheus_client's choose_encoder raises on a malformed version and promises versions nobody knows yet.
    for offer in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in offer.split(";"))
        versions = [part for part in parameters if part.startswith("version=")]
        if kind == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            return True
    return False
