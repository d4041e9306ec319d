"""The metrics as bytes, rendered at most once a second, however often they are scraped."""

import gzip
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import chain, takewhile

from prometheus_client import exposition as text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.clock import Clock
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format

_FRESH_FOR = 1.0
_GZIP_LEVEL = 4  # 9, the usual choice, takes three times as long for 3 % less


@dataclass(frozen=True)
class Part:
    """Metric families. A family may have more samples in other parts.

    An encoded part is reused as long as `state` stays the same. If `state` is None, it is never reused.
    """

    name: Hashable
    collect: Callable[[], Iterable[Metric]]
    state: object = None


class _Encoder:
    """Encodes parts in one format, and keeps those that do not change, which is most of the page."""

    def __init__(self, generate_latest: Callable[[Collector], bytes]) -> None:
        self._generate_latest = generate_latest
        self._kept: dict[Hashable, tuple[object, dict[bytes, bytes]]] = {}
        self._end = generate_latest(Families(()))

    def encode(self, parts: Iterable[Part]) -> bytes:
        encoded = {}
        for part in parts:
            kept = self._kept.get(part.name)
            if kept is None or part.state is None or kept[0] != part.state:
                kept = part.state, dict(self._encode(family) for family in part.collect())
            encoded[part.name] = kept
        self._kept = encoded
        families: dict[bytes, list[bytes]] = {}
        for _, lines_of in encoded.values():
            for head, lines in lines_of.items():
                families.setdefault(head, [head]).append(lines)
        return b"".join([*chain.from_iterable(families.values()), self._end])

    def _encode(self, family: Metric) -> tuple[bytes, bytes]:
        """Return what stands above a family's samples, and their lines."""
        encoded = self._generate_latest(Families((family,))).removesuffix(self._end)
        head = sum(map(len, takewhile(_is_comment, encoded.splitlines(keepends=True))))
        return encoded[:head], encoded[head:]


def _is_comment(line: bytes) -> bool:
    return line.startswith(b"#")


class Families(Collector):
    """What prometheus_client's encoders take for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families


class Exposition:
    """Renders `parts`, and remembers each form of the page for a second."""

    def __init__(self, parts: Callable[[], Iterable[Part]], clock: Clock) -> None:
        self._parts = parts
        self._clock = clock
        self._encoders = {
            TEXT: _Encoder(text.generate_latest),
            OPENMETRICS: _Encoder(openmetrics.generate_latest),
        }
        self._rendered: dict[Format, tuple[float, bytes]] = {}

    def render(self, form: Format) -> bytes:
        """Return the page in one of its forms: the same one within a second."""
        now = self._clock.monotonic()
        rendered = self._rendered.get(form)
        if rendered and now - rendered[0] < _FRESH_FOR:
            return rendered[1]
        body = self._encoders[form.content_type].encode(self._parts())
        if form.compressed:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        self._rendered[form] = (now, body)
        return body
