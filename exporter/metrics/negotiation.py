"""What a scraper accepts: which format of the metrics, and whether compressed."""

from functools import lru_cache
from typing import NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_RANGES = {
    TEXT: ("text/plain;version=0.0.4", "text/plain", "text/*", "*/*"),
    OPENMETRICS: (
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text",
        "application/*",
        "*/*",
    ),
}
"""The media ranges that match a format, the most specific first."""


class Format(NamedTuple):
    """One of the forms the metrics are served in."""

    content_type: str
    compressed: bool


class _Preference(NamedTuple):
    quality: float
    position: int
    """0 for the first of a header, -1 for the next."""


@lru_cache(maxsize=16)  # a scraper sends the same headers each time
def negotiate(accept: str, accept_encoding: str) -> Format | None:
    """Return the form that a request's headers prefer; None if they refuse both formats.

    A client that names neither format gets the text format.
    """
    accepted = _preferences(accept)
    by_format = {content_type: _preference(ranges, accepted) for content_type, ranges in _RANGES.items()}
    allowed = {
        content_type: preference for content_type, preference in by_format.items() if preference[0] != 0
    }
    if not allowed:
        return None
    return Format(max(allowed, key=lambda each: allowed[each]), _prefers_gzip(_preferences(accept_encoding)))


def _preference(ranges: tuple[str, ...], accepted: dict[str, _Preference]) -> tuple[float, bool, int]:
    """Return the quality of a format by the most specific range that matches it, and what decides between equals.

    A format that nothing matches has quality -1: it is not refused, but every other goes before it.
    """
    for name in ranges:
        if found := accepted.get(name):
            return found.quality, "*" not in name, found.position
    return -1, False, 0


def _prefers_gzip(accepted: dict[str, _Preference]) -> bool:
    refused = _Preference(0, 0)
    gzip = accepted.get("gzip", refused).quality
    return gzip > 0 and gzip >= accepted.get("identity", refused).quality


def _preferences(header: str) -> dict[str, _Preference]:
    """Read a header such as Accept, by name and version. What has no quality from 0 to 1 is left out."""
    found: dict[str, _Preference] = {}
    for position, offer in enumerate(header.lower().split(",")):
        name, *parameters = (part.strip() for part in offer.split(";"))
        values = {
            key.strip(): value.strip() for key, _, value in (part.partition("=") for part in parameters)
        }
        if "version" in values:
            name = f"{name};version={values['version']}"
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            continue
        if 0 <= quality <= 1:
            found.setdefault(name, _Preference(quality, -position))
    return found
