"""Looks for a key in whatever came out of a process, however it is encoded there."""

import base64
import html
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import requests

from tests.support.running import Running

KEY = "Zq7Wd93K+/%&=?#é'\"\\<€😀%41;Vt4Xh8Lm"
PARTS = re.findall(r"\w{8}", KEY, re.ASCII)
"""What is left of it in most encodings, and where it is cut."""

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def _lower_hex(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _base64(text: str, before: int) -> str:
    """What surely stands in the text where the key begins so many bytes into a group of three."""
    encoded = base64.b64encode(bytes(before) + text.encode()).decode().rstrip("=")
    return encoded[(0, 2, 3)[before] : -1]


ENCODINGS: Mapping[str, Callable[[str], str]] = {
    "raw": str,
    "quoted": quote,
    "quoted, safe characters too": lambda key: quote(key, safe=""),
    "quoted, lower case": lambda key: _lower_hex(quote(key, safe="")),
    "quoted as a form": quote_plus,
    "quoted as a query": lambda key: urlencode({"k": key})[2:],
    "every byte quoted": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "quoted twice": lambda key: quote(quote(key, safe=""), safe=""),
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON, not ASCII": lambda key: json.dumps(key, ensure_ascii=False)[1:-1],
    "repr": lambda key: repr(key)[1:-1],
    "repr of bytes": lambda key: repr(key.encode())[2:-1],
    "ascii": lambda key: ascii(key)[1:-1],
    "HTML": html.escape,
    "HTML, ASCII": lambda key: html.escape(key).encode("ascii", "xmlcharrefreplace").decode(),
    "hex": lambda key: key.encode().hex(),
    "hex, upper case": lambda key: key.encode().hex().upper(),
    "base64": lambda key: _base64(key, 0),
    "base64, one byte in": lambda key: _base64(key, 1),
    "base64, two bytes in": lambda key: _base64(key, 2),
    "base64 for URLs": lambda key: _base64(key, 0).replace("+", "-").replace("/", "_"),
}
_NEEDLES = {
    f"{encoding} {text}": encode(text).encode().lower()
    for text in (KEY, *PARTS)
    for encoding, encode in ENCODINGS.items()
} | {f"UTF-16 {text}": text.encode("utf-16-le").lower() for text in (KEY, *PARTS)}


def found_in(evidence: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return the places where the key is, or a part of it, and how it is encoded there."""
    found = {}
    for place, content in evidence.items():
        lowered = content.lower()
        if spellings := [name for name, needle in _NEEDLES.items() if needle in lowered]:
            found[place] = spellings
    return found


def pages(exporter: Running) -> dict[str, bytes]:
    """Return all that a running exporter shows, and what the kernel shows of it."""
    shown = {"/metrics as OpenMetrics": _page(exporter, "GET", "/metrics", accept=OPENMETRICS)}
    for path in ("/metrics", "/", "/?account=x", "/-/ready", "/-/healthy", "/none"):
        shown[path] = _page(exporter, "GET", path)
    shown["/-/reload"] = _page(exporter, "POST", "/-/reload")
    process = Path(f"/proc/{exporter.process.pid}")
    for name in ("cmdline", "environ"):
        shown[name] = (process / name).read_bytes()
    shown["titles"] = b"".join(thread.read_bytes() for thread in process.glob("task/*/comm"))
    return shown


def _page(exporter: Running, method: str, path: str, **headers: str) -> bytes:
    reply = requests.request(method, exporter.url + path, headers=headers, timeout=10)
    return f"{reply.status_code} {reply.headers}\n".encode() + reply.content


def remains(exporter: Running, state: Path) -> dict[str, bytes]:
    """Return what an exporter that has ended leaves behind."""
    files = [path for path in state.rglob("*") if path.is_file()]
    return {
        "output": "\n".join(exporter.lines).encode(),
        "names of files": "\n".join(map(str, files)).encode(),
        "files": b"\n".join(path.read_bytes() for path in files),
    }
