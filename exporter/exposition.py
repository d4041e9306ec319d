"""The metrics as bytes, rendered at most once a second, however often they are scraped."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import exposition as text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.clock import Clock

_FRESH_FOR = 1.0
_GZIP_LEVEL = 4  # 9, the usual choice, takes three times as long for 3 % less
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Variant(NamedTuple):
    """One of the forms the metrics are served in."""

    openmetrics: bool
    compressed: bool


@dataclass(frozen=True)
class Page:
    """What answers a scrape."""

    content_type: str
    body: bytes
    compressed: bool


class _Families:
    """What prometheus_client's encoders take for a registry."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self.collect = collect


class Exposition:
    """Renders what `collect` yields in the format that a scraper accepts, and remembers it for a second."""

    def __init__(self, collect: Callable[[], Iterator[Metric]], clock: Clock) -> None:
        self._families = _Families(collect)
        self._clock = clock
        self._rendered: dict[Variant, tuple[float, Page]] = {}

    def render(self, accept: str, compress: bool) -> Page:
        """Return the page for an Accept header, compressed with gzip if asked for."""
        return self.page(variant(accept, compress))

    def page(self, variant: Variant) -> Page:
        """Return the page in one of its forms: the same one within a second."""
        now = self._clock.monotonic()
        rendered = self._rendered.get(variant)
        if rendered and now - rendered[0] < _FRESH_FOR:
            return rendered[1]
        encode = openmetrics.generate_latest if variant.openmetrics else text.generate_latest
        body = encode(self._families)
        if variant.compressed:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        page = Page(_OPENMETRICS if variant.openmetrics else _TEXT, body, variant.compressed)
        self._rendered[variant] = (now, page)
        return page


def variant(accept: str, compress: bool) -> Variant:
    """Return the form that an Accept header asks for."""
    return Variant(_accepts_openmetrics(accept), compress)


def _accepts_openmetrics(accept: str) -> bool:
    # prometheus_client's choose_encoder raises on a malformed version and promises versions nobody knows yet.
    for offer in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in offer.split(";"))
        versions = [part for part in parameters if part.startswith("version=")]
        if kind == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            return True
    return False
