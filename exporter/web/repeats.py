"""Scrapes that come again, byte for byte, answered without parsing them anew.

A scraper sends the same bytes each time. What was parsed once, and was one whole request for the metrics, is
known by its bytes from then on: that holds for any connection on which nothing else is under way.
"""

from exporter.metrics.exposition import Page, Variant
from exporter.web.app import Application, Scope, encode_reply, reply_with

_MAX_KNOWN = 16
_MAX_BYTES = 4096


class Repeats:
    """The scrapes an application has answered lately, and its answers as bytes."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._known: dict[bytes, Variant] = {}
        self._encoded: dict[Variant, tuple[Page, bytes]] = {}

    def answer(self, request: bytes) -> bytes | None:
        """Return the whole answer to what may be a known scrape; None where it is not."""
        variant = self._known.get(request) if len(request) <= _MAX_BYTES else None
        if variant is None:
            return None
        page = self._application.page(variant)
        encoded = self._encoded.get(variant)
        if not encoded or encoded[0] is not page:
            encoded = self._encoded[variant] = page, encode_reply(reply_with(page))
        return encoded[1]

    def learn(self, request: bytes, scope: Scope) -> None:
        """Remember the bytes of a whole request, if it is a scrape. The oldest of many is forgotten."""
        if len(request) > _MAX_BYTES or (variant := self._application.variant(scope)) is None:
            return
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[request] = variant
