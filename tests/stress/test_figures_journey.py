"""A real process that is sent every reply of the table: figures, log, threads, descriptors, memory, scrapes."""

import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from exporter.model import Credits, MonthFigures, Query
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from tests.stress.hostile import BAD, LONGEST_LINE, UNUSUAL
from tests.stress.scripted import Provider, good_credits, good_months
from tests.support.fakes import FakeClock
from tests.support.running import Running, Started, eventually

pytestmark = pytest.mark.journey

TIMEOUT = 2
MOST_MEMORY = 40 << 10
"""KiB above idle."""
EXCHANGES = "smspartner_api_request_duration_seconds"
_SERIES = re.compile(r'(?P<name>\w+)\{account="(?P<account>[^"]*)",?(?P<labels>.*)\} (?P<value>\S+)')
Series = dict[str, float]
Figures = Mapping[str, MonthFigures] | Credits


class Process:
    """What the kernel knows of a process."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text("5")

    def memory(self, field: str) -> int:
        """Return `VmRSS` or its peak, `VmHWM`, in KiB."""
        found = re.search(rf"^{field}:\s+(\d+) kB", (self._proc / "status").read_text(), re.MULTILINE)
        assert found
        return int(found[1])

    def held(self) -> tuple[int, int]:
        """Count its threads and open descriptors."""
        return len(list((self._proc / "task").iterdir())), len(list((self._proc / "fd").iterdir()))


class Watcher:
    """Scrapes all the while, and keeps what an account showed when first a poll of it had failed."""

    def __init__(self, url: str) -> None:
        self.latest: dict[str, Series] = {}
        self.spoilt: dict[str, Series] = {}
        self._url = f"{url}/metrics"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watcher":
        self.scrape()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.5):
            self.scrape()

    def scrape(self) -> None:
        text = requests.get(self._url, timeout=60).text
        accounts: dict[str, Series] = {}
        for found in _SERIES.finditer(text):
            accounts.setdefault(found["account"], {})[f"{found['name']}{{{found['labels']}}}"] = float(
                found["value"]
            )
        for name, series in accounts.items():
            if failing(series):
                self.spoilt.setdefault(name, series)
        self.latest = accounts


def failing(series: Series) -> set[str]:
    return {name for name, value in series.items() if name.startswith("smspartner_poll_failing") and value}


def parts(series: Series, query: Query) -> Series:
    """What the answers to a query make up, and when the last good one came."""
    own = {
        Query.STATISTICS: r"sms_|smspartner_month_start|smspartner_last_success.*statistics",
        Query.CREDITS: r"smspartner_(balance|credits|queued)|smspartner_last_success.*credits",
    }[query]
    return {name: value for name, value in series.items() if re.match(own, name)}


def shows(series: Series, figures: Figures) -> bool:
    """Whether these figures are there, and no others of their kind."""
    if isinstance(figures, Credits):
        wanted: Series = {
            f'smspartner_credits{{kind="{kind}"}}': count for kind, count in figures.remaining.items()
        }
        if figures.balance is not None:
            wanted[f'smspartner_balance{{currency="{figures.currency or ""}"}}'] = figures.balance
        if figures.queued is not None:
            wanted["smspartner_queued_sms{}"] = figures.queued
        found = {name for name in series if re.match(r"smspartner_(balance|credits|queued)", name)}
    else:
        wanted = {f'sms_cost_monthly{{month="{month}"}}': each.cost for month, each in figures.items()}
        wanted |= {f'sms_sent_monthly{{month="{month}"}}': each.sent for month, each in figures.items()}
        found = {name for name in series if name.startswith("sms_")}
    return found == wanted.keys() and all(series[name] == value for name, value in wanted.items())


def fields(line: str) -> dict[str, str]:
    """The fields of a line in logfmt."""
    found = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line)
    return {key: json.loads(value) if value.startswith('"') else value for key, value in found}


def good(query: Query, number: int) -> Figures:
    return good_credits(number) if query is Query.CREDITS else good_months(number)


def known_past(state: Path, keys: list[str]) -> None:
    """Leave a state directory behind as a process does that asked nothing lately."""
    earlier = FakeClock(monotonic=time.monotonic() - 60)
    limiters = RateLimiters(5, earlier, StateDirectory(state), scope="account")
    for key in keys:
        limiters.for_key(Secret(key)).try_acquire(TIMEOUT)


def configured(path: Path, keys: dict[str, str], url: str, statistics: str) -> Path:
    config = {
        "base_url": url,
        "accounts": [{"name": name, "api_key": key} for name, key in keys.items()],
        "limit_scope": "account",
        "poll_interval": "25s",
        "current_month": False,
        "timeout": f"{TIMEOUT}s",
        "statistics": statistics,
    }
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.end()


def start(started: Started, tmp_path: Path, keys: dict[str, str], url: str) -> Running:
    """Start the exporter and wait until it has got good figures of every account."""
    known_past(tmp_path / "state", list(keys.values()))
    config = configured(tmp_path / "config.yml", keys, url, "last_twelve_months")
    exporter = started.exporter(f"--config.file={config}", f"--state.dir={tmp_path / 'state'}")
    eventually(lambda: exporter.get().text.count("\nsmspartner_balance{") == len(keys), within=60)
    return exporter


ODD_FIELDS = {f"credits.{name}" for name in ("currency", "creditSms", "creditSmsECO", "creditHlr", "toSend")}


@pytest.mark.long
def test_hostile_replies_change_no_figure(started: Started, tmp_path: Path, provider: Provider) -> None:
    keys = {name: provider.key(name) for name in (*BAD, *UNUSUAL)}
    exporter = start(started, tmp_path, keys, provider.url)
    process = Process(exporter.process.pid)
    held, idle = process.held(), process.memory("VmRSS")
    process.forget_peak()
    scraped = f"{exporter.url}/metrics", str(exporter.process.pid)
    scraper = started.command(sys.executable, "-m", "tests.stress.scrape", *scraped)
    with Watcher(exporter.url) as watcher:
        first = watcher.latest
        eventually(lambda: watcher.spoilt.keys() >= BAD.keys(), within=120)
        configured(tmp_path / "config.yml", keys, provider.url, "last_month")
        assert requests.post(
            f"{exporter.url}/-/reload", timeout=10
        ).ok  # a rejected key would be left alone for an hour

        def healed() -> bool:
            return all(
                not failing(watcher.latest[name]) and shows(watcher.latest[name], good(bad.query, 3))
                for name, bad in BAD.items()
            )

        eventually(healed, within=150)
        eventually(
            lambda: all(shows(watcher.latest[name], unusual.figures) for name, unusual in UNUSUAL.items())
        )
    scraper.end()
    slowest = max(map(float, scraper.lines))
    peak = process.memory("VmHWM") - idle
    assert peak < MOST_MEMORY
    assert slowest < 1

    for name, bad in BAD.items():
        spoilt, endpoint = watcher.spoilt[name], bad.query.endpoint
        assert failing(spoilt) == {
            f'smspartner_poll_failing{{endpoint="{endpoint}",reason="{bad.reason}"}}'
        }, name
        assert shows(first[name], good(bad.query, 1)), name
        assert parts(spoilt, bad.query) == parts(first[name], bad.query), name
        count, seconds = (
            spoilt[series] - first[name][series]
            for series in (f'{EXCHANGES}_{part}{{endpoint="{endpoint}"}}' for part in ("count", "sum"))
        )
        assert count == 1, name
        assert seconds < TIMEOUT + 0.5, name
    assert watcher.spoilt.keys() == BAD.keys()

    warnings = [line for line in exporter.lines if "level=info" not in line]
    left_out = [line for line in warnings if "is left out" in line]
    assert {fields(line)["problem"].partition(":")[0] for line in left_out} == ODD_FIELDS
    assert len(left_out) <= 2 * len(ODD_FIELDS)  # once, and once after the reload
    lines = [line for line in warnings if line not in left_out]
    assert sorted(fields(line)["account"] for line in lines) == sorted(BAD)
    for line in lines:
        said = fields(line)
        bad = BAD[said["account"]]
        assert (said["level"], said["msg"], said["query"]) == ("warning", "poll failed", bad.query)
        assert said["reason"] == bad.reason
        assert bad.detail in said["detail"]
        assert line.isprintable()
        assert len(line) < LONGEST_LINE

    eventually(lambda: all(now <= before for now, before in zip(process.held(), held, strict=True)))
    print(
        f"{len(BAD)} bad replies and {len(UNUSUAL)} unusual ones: at most {peak >> 10} MiB above idle, "
        f"slowest scrape {slowest:.2f} s"
    )
