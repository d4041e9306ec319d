"""Who is measured: the exporter, and servers that people know, each a process of its own on the same processor."""

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks import machine
from benchmarks.load import Scraper
from benchmarks.planted import Planted, plant
from tests.support.running import Running, Started, eventually, free_port

SIZES = (1, 100)
EXPORTER = "smspartner-exporter"
HANGING = "smspartner-exporter, every poll hangs"
PROXY = "a request to the API for each scrape"
PYTHON_PEER = "prometheus_client's server"
NODE, BLACKBOX = "node_exporter", "blackbox_exporter"
NGINX = "nginx, the same bytes"


@dataclass(frozen=True)
class Contestant:
    """A server that runs. `accounts` is None where it serves metrics of its own."""

    name: str
    accounts: int | None
    url: str
    running: Running

    @property
    def pid(self) -> int:
        """Its main process."""
        return self.running.process.pid


Start = Callable[[], Contestant]


class Field:
    """Starts the contestants. What cannot be had is in `missing`, to be said aloud."""

    def __init__(self, started: Started, directory: Path) -> None:
        self._started = started
        self.directory = directory
        self.missing: list[str] = []
        self.planted = {
            accounts: plant(directory / str(accounts), accounts, started.simulator().url)
            for accounts in SIZES
        }

    def all(self) -> list[Contestant]:
        """Start everything that is compared in scrapes."""
        ours = [self.exporter(accounts) for accounts in SIZES]
        peers = [self.python_peer(accounts) for accounts in SIZES]
        others = [start() for start in self.go_peers().values()]
        return [*ours, self.hanging(), *peers, *others, *self._nginx(ours)]

    def exporter(self, accounts: int, environment: Mapping[str, str] | None = None) -> Contestant:
        """Start the exporter with figures that an earlier one kept."""
        return self._exporter(EXPORTER, self.planted[accounts], accounts, environment)

    def exporter_by_itself(self) -> Contestant:
        """Start the exporter, one account, with an API and a rate limiter that it shares with nobody."""
        simulator = self._started.simulator()
        planted = plant(Path(tempfile.mkdtemp(dir=self.directory)) / "planted", 1, simulator.url)
        return self._exporter(EXPORTER, planted, 1)

    def hanging(self) -> Contestant:
        """Start an exporter each of whose polls hangs for minutes, and wait until one does."""
        simulator = self._started.simulator("--misbehave=hang")
        planted = plant(self.directory / "hanging", 1, simulator.url, timeout="5m")
        contestant = self._exporter(HANGING, planted, 1)
        eventually(lambda: requests_to(simulator), within=30)
        return contestant

    def accelerated(self, hours: float) -> tuple[Contestant, Running]:
        """Start an exporter that skips so many hours of waiting, and its simulated API, which knows no limit."""
        simulator = self._started.simulator("--requests-per-minute=0")
        planted = plant(self.directory / "accelerated", 1, simulator.url)
        module = (sys.executable, "-m", "benchmarks.accelerated")
        port = free_port()
        command = (*module, planted.config, planted.state, str(port), str(hours))
        return self._peer(EXPORTER, 1, port, *command), simulator

    def proxy(self) -> tuple[Contestant, Running]:
        """Start what asks the API once for each scrape, and its simulated API, which refuses a sixth in a minute."""
        simulator = self._started.simulator()
        port = free_port()
        command = (sys.executable, "-m", "benchmarks.per_scrape_proxy", simulator.url, str(port))
        return self._peer(PROXY, 1, port, *command, wait=False), simulator

    def python_peer(self, accounts: int) -> Contestant:
        """Start prometheus_client's server with the exporter's collector."""
        port = free_port()
        planted = self.planted[accounts]
        module = (sys.executable, "-m", "benchmarks.prometheus_client_server")
        return self._peer(PYTHON_PEER, accounts, port, *module, planted.config, planted.state, str(port))

    def go_peers(self) -> dict[str, Start]:
        """Return how to start Debian's exporters."""
        starts: dict[str, Start] = {}
        if node := self._program("prometheus-node-exporter"):
            flags = ("--collector.disable-defaults", "--collector.loadavg")
            starts[NODE] = lambda: self._go(NODE, node, *flags)
        if blackbox := self._program("prometheus-blackbox-exporter"):
            config = self.directory / "blackbox.yml"
            config.write_text("modules: {tcp: {prober: tcp}}\n")
            starts[BLACKBOX] = lambda: self._go(BLACKBOX, blackbox, f"--config.file={config}")
        return starts

    def _exporter(
        self, name: str, planted: Planted, accounts: int, environment: Mapping[str, str] | None = None
    ) -> Contestant:
        port = free_port()
        command = (sys.executable, "-m", "exporter", f"--web.listen-address=127.0.0.1:{port}", *planted.flags)
        return self._peer(name, accounts, port, *command, environment=environment)

    def _go(self, name: str, path: Path, *flags: str) -> Contestant:
        port = free_port()
        return self._peer(name, None, port, path, f"--web.listen-address=127.0.0.1:{port}", *flags)

    def _nginx(self, ours: list[Contestant]) -> list[Contestant]:
        nginx = self._program("nginx")
        if not nginx:
            return []
        root = self.directory / "nginx"
        root.mkdir()
        for contestant in ours:
            (root / f"{contestant.accounts}.gz").write_bytes(Scraper(contestant.url).scrape().sent)
        port = free_port()
        (root / "nginx.conf").write_text(_NGINX.format(root=root, port=port))
        command = (nginx, "-c", root / "nginx.conf", "-e", "stderr", "-p", root)
        first = self._peer(NGINX, SIZES[0], port, *command, path=f"/{SIZES[0]}")
        others = [
            Contestant(NGINX, accounts, f"http://127.0.0.1:{port}/{accounts}", first.running)
            for accounts in SIZES[1:]
        ]
        return [first, *others]

    def _peer(
        self,
        name: str,
        accounts: int | None,
        port: int,
        *command: str | Path,
        path: str = "/metrics",
        wait: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> Contestant:
        running = self._started.command(
            *machine.pinned(machine.SERVER_CORE, *command), cwd=None, **environment or {}
        )
        contestant = Contestant(name, accounts, f"http://127.0.0.1:{port}{path}", running)
        deadline = time.monotonic() + 15
        while not (_answers(contestant) if wait else _listens(port)):
            if running.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer:\n" + "\n".join(running.lines))
            time.sleep(0.001)  # the time from exec to here is measured
        return contestant

    def _program(self, name: str) -> Path | None:
        found = machine.program(name)
        if not found and name not in self.missing:
            self.missing.append(name)
        return found


def requests_to(simulator: Running) -> list[dict[str, Any]]:
    """Return the requests that a simulated API has seen."""
    url = simulator.url.removesuffix("/v1") + "/simulator"
    found: list[dict[str, Any]] = requests.get(url, timeout=10).json()["requests"]
    return found


def _answers(contestant: Contestant) -> bool:
    with suppress(OSError):
        return bool(Scraper(contestant.url).scrape().content)
    return False


def _listens(port: int) -> bool:
    return socket.socket().connect_ex(("127.0.0.1", port)) == 0


_NGINX = """
daemon off; worker_processes 1; pid {root}/pid; user root;
events {{ }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};
    uwsgi_temp_path {root}; scgi_temp_path {root};
    default_type "application/openmetrics-text; version=1.0.0; charset=utf-8";
    server {{ listen 127.0.0.1:{port}; root {root}; gzip_static always; }}
}}
"""
