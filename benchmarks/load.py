"""Scrapes as Prometheus sends them: one by one, or as many as a server answers."""

import gzip
import http.client
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import machine

HEADERS = {
    "User-Agent": "Prometheus/3.5.0",
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Scraped:
    """One reply to a scrape. `sent` are the bytes of its body as they travel."""

    content: bytes
    sent: bytes

    @property
    def series(self) -> dict[str, float]:
        """The samples by series."""
        lines = (line for line in self.content.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


class Scraper:
    """One Prometheus server: it keeps its connection as long as the other side does."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._connection = http.client.HTTPConnection(self._url.netloc, timeout=10)

    def scrape(self) -> Scraped:
        """Scrape once. Raises OSError or HTTPException where that fails."""
        try:
            self._connection.request("GET", self._url.path, headers=HEADERS)
            reply = self._connection.getresponse()
            sent = reply.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if reply.status != 200:
            raise http.client.HTTPException(f"status {reply.status}")
        is_packed = reply.getheader("Content-Encoding") == "gzip"
        return Scraped(gzip.decompress(sent) if is_packed else sent, sent)


@dataclass(frozen=True)
class Load:
    """How a server did: scrapes a second, and milliseconds within which half of them and 99 of 100 were answered."""

    rate: float
    p50: float
    p99: float


def generate(url: str, connections: int, seconds: int) -> Load:
    """Scrape with wrk over so many kept connections, as fast as answers come."""
    wrk = machine.program("wrk")
    if not wrk:
        raise FileNotFoundError(
            "wrk is missing, and nothing can be measured without it: see benchmarks/bin/get-peers"
        )
    headers = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    command: list[str | Path] = [
        wrk,
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout=10s",
        "--latency",
        *headers,
        url,
    ]
    output = subprocess.run(
        machine.pinned(machine.GENERATOR_CORE, *command),
        env=machine.environment() | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # prometheus_client's server closes each connection, and wrk opens one more than it uses: that is no failure.
    errors = re.search(r"connect (\d+), read \d+, write (\d+), timeout (\d+)", output)
    if "Non-2xx" in output or (errors and any(int(count) for count in errors.groups())):
        raise RuntimeError(f"{url}: not every scrape succeeded:\n{output}")
    rate = float(_find(r"Requests/sec:\s+([\d.]+)", output)[0])
    return Load(rate, *(_latency(percentile, output) for percentile in (50, 99)))


def _latency(percentile: int, output: str) -> float:
    number, unit = _find(rf"{percentile}%\s+([\d.]+)(us|ms|s|m)\s*$", output)
    return float(number) * _MILLISECONDS[unit]


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"wrk's output has no {pattern}:\n{text}")
    return tuple(found.groups())
