"""The metrics as bytes, rendered at most once a second, however often they are scraped."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from exporter.clock import Clock

_FRESH_FOR = 1.0
_GZIP_LEVEL = 4  # 9, the usual choice, takes three times as long for 3 % less
_VARIANTS = 16


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
        self._rendered: dict[tuple[str, bool], tuple[float, Page]] = {}

    def render(self, accept: str, compress: bool) -> Page:
        """Return the page for an Accept header, compressed with gzip if asked for."""
        now = self._clock.monotonic()
        rendered = self._rendered.get((accept, compress))
        if rendered and now - rendered[0] < _FRESH_FOR:
            return rendered[1]
        encode, content_type = choose_encoder(accept)
        body = encode(self._families)
        page = Page(content_type, gzip.compress(body, _GZIP_LEVEL, mtime=0) if compress else body)
        if len(self._rendered) >= _VARIANTS:
            self._rendered.clear()
        self._rendered[accept, compress] = (now, page)
        return page
