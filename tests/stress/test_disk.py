"""The state directory under attack: no wrong figure, no start that fails, no request too early, and it is said."""

import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.ratelimit.limiter import boot_id
from exporter.ratelimit.lock_file import LockFile
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.stress.disk_attacks import ATTACKS, Attack
from tests.stress.mounts import Mount
from tests.stress.numbered import INTERVAL, KEY, UNWRITABLE, WRITABLE_AGAIN, Numbered, configured, shown
from tests.support.running import ROOT, Running, Started, eventually
from tests.support.simulator import most_in_60s, served

pytestmark = pytest.mark.journey

LONGEST_ROUND = 60.0
"""A poll interval of 13 s, an unknown past, and a machine that is busy with other tests."""


class Battle:
    """One attack on the state directory of one exporter, which lives three times."""

    def __init__(self, name: str, started: Started, directory: Path, at_once: threading.Semaphore) -> None:
        self._attack: Attack = ATTACKS[name]
        self._started = started
        self._at_once = at_once
        self._directory = directory / name.replace(" ", "-")
        self._directory.mkdir()
        self.simulator = Numbered()
        self.said: list[str] = []
        """What the exporter wrote in its last life."""
        self.seen: list[tuple[float, int]] = []
        """What the exporter showed, and from when on."""

    def fight(self) -> None:
        self._mount = Mount(self._started, self._directory / "mount")
        with served(self.simulator) as server:
            self._base_url = server.base_url
            self._config = configured(self._directory / "config.yaml", self._base_url)
            known_past(self._mount.path / "state")
            self._attacked_while_running()
            self._started_under_attack_and_healed()
            self._after_it()
        assert most_in_60s(self.simulator.arrivals) <= 5
        gaps = [after - before for before, after in pairwise(self.simulator.arrivals)]
        assert min(gaps) >= INTERVAL, gaps

    def _attacked_while_running(self) -> None:
        exporter = self._life(0)
        self._shows(exporter, 1)
        self._keeps(1)
        assert writable(exporter) == 1
        self._attack.make(self._mount)
        self._shows(exporter, 2)
        eventually(lambda: writable(exporter) == (not self._attack.is_trouble))
        self._kill(exporter)
        assert said(exporter, UNWRITABLE) == self._attack.is_trouble
        assert said(exporter, WRITABLE_AGAIN) == 0

    def _started_under_attack_and_healed(self) -> None:
        self._attack.make(self._mount)
        exporter = self._life(1, 2)
        self._shows(exporter, 3)
        eventually(lambda: writable(exporter) == (not self._attack.is_trouble))
        self._attack.heal(self._mount)
        self._shows(exporter, 4)
        eventually(lambda: writable(exporter) == 1)
        self._keeps(4)
        self._kill(exporter)
        assert said(exporter, UNWRITABLE) == said(exporter, WRITABLE_AGAIN) == self._attack.is_trouble

    def _after_it(self) -> None:
        exporter = self._life(4, may_show_none=False)
        assert writable(exporter) == 1
        self._kill(exporter)
        assert not [line for line in exporter.lines if "level=warn" in line or "level=error" in line]

    def _life(self, *may_show: int, may_show_none: bool = True) -> Running:
        """Start the exporter. Before it has asked anything it shows what was kept, or nothing."""
        asked = len(self.simulator.arrivals)
        with self._at_once:
            exporter = self._started.exporter(
                f"--config.file={self._config}",
                f"--state.dir={self._mount.directory / 'state'}",
                under=self._mount.under,
            )
            self.said = exporter.lines
            first = shown(exporter)
        allowed = {*may_show, *((0,) if may_show_none else ())}
        assert first in allowed or (first == len(self.simulator.arrivals) > asked), (first, allowed)
        return exporter

    def _shows(self, exporter: Running, number: int) -> None:
        """Wait for the figures of the next reply."""
        eventually(lambda: len(self.simulator.arrivals) == number, LONGEST_ROUND)
        eventually(lambda: self._see(exporter) == number)

    def _keeps(self, number: int) -> None:
        """Wait for figures to be on the disk, where they come after they are shown."""
        eventually(lambda: kept_in(self._mount.path / "state", self._base_url) == number)

    def _see(self, exporter: Running) -> int:
        number = shown(exporter)
        if not self.seen or self.seen[-1][1] != number:
            self.seen.append((time.monotonic(), number))
        return number

    @staticmethod
    def _kill(exporter: Running) -> None:
        assert exporter.end(signal.SIGKILL) == -signal.SIGKILL
        assert "Traceback" not in "\n".join(exporter.lines)


def known_past(state: Path) -> None:
    """Leave a state directory as a process does that asked nothing lately."""
    with LockFile(StateDirectory(state), boot_id()).locked() as file:
        assert file
        assert file.write(time.monotonic())


def writable(exporter: Running) -> float:
    return exporter.series("smspartner_state_writable")["smspartner_state_writable"]


def said(exporter: Running, what: str) -> int:
    return sum(what in line for line in exporter.lines)


@pytest.mark.long
def test_whatever_happens_to_the_directory(started: Started, tmp_path: Path) -> None:
    """All attacks at the same time, because nearly all of the time is spent waiting for the rate limiter."""
    at_once = threading.Semaphore(2)
    with ThreadPoolExecutor(len(ATTACKS)) as pool:
        battles = [Battle(name, started, tmp_path, at_once) for name in ATTACKS]
        outcomes = [pool.submit(battle.fight) for battle in battles]
    lost = []
    for name, battle, outcome in zip(ATTACKS, battles, outcomes, strict=True):
        if error := outcome.exception():
            error.add_note(
                f"The attack was: {name}. Requests arrived at {battle.simulator.arrivals}, "
                f"the exporter showed {battle.seen}"
            )
            error.add_note("\n".join(["and said:", *battle.said]))
            lost.append(error)
    if lost:
        raise BaseExceptionGroup("the exporter did not withstand", lost)


def test_three_hundred_processes_killed_while_they_write(tmp_path: Path) -> None:
    """What the exporter does with its files, and nothing else, in 300 processes (see short_lives)."""
    command = [sys.executable, "-m", "tests.stress.short_lives", str(tmp_path / "state"), "300"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lives = [json.loads(line) for line in output.splitlines()]
    assert len(lives) == 300
    sent: list[float] = []
    said: dict[str, int] = {}
    kept = 0
    for life in lives:
        for what, number in life:
            match what:
                case "whole":
                    assert kept <= number <= kept + 1, (
                        "a process may be killed before it reports what it kept"
                    )
                    kept = number
                case "kept":
                    kept = number
                case "sent":
                    sent.append(number)
                case _:
                    said[what] = said.get(what, 0) + 1
    assert sum(said.values()) <= 1, f"only the very first knows nothing of the past: {said}"
    assert len(sent) > 300
    assert min(after - before for before, after in pairwise(sent)) >= INTERVAL
    assert most_in_60s(sent) <= 5
    assert list((tmp_path / "state").glob("*.tmp")), "no process was killed in the middle of writing"


def test_the_exporter_itself_killed_while_it_writes(started: Started, tmp_path: Path) -> None:
    """Kills from the moment a request arrives until all that follows is written, at instants spread over it."""
    state, lives = tmp_path / "state", 30
    file = LockFile(StateDirectory(state), boot_id())
    with served(simulator := Numbered()) as server:
        config = configured(tmp_path / "config.yaml", server.base_url)
        kept = 0
        for life in range(1, lives + 1):
            known_past(state)
            exporter = started.command(
                sys.executable,
                "-m",
                "exporter",
                "--web.listen-address=127.0.0.1:0",
                f"--config.file={config}",
                f"--state.dir={state}",
            )
            assert simulator.asked.get(timeout=15) == life
            time.sleep(
                0.3 * (life / lives) ** 4
            )  # most within 20 ms, when it writes; some later, if it is slow
            exporter.end(signal.SIGKILL)
            before, kept = kept, kept_in(state, server.base_url)
            assert kept in {before, life}
            with file.locked() as left_behind:
                permitted = left_behind and left_behind.read()
            assert permitted, "the next process knows when it may ask"
            assert permitted >= simulator.arrivals[-1] + INTERVAL
        exporter = started.exporter(f"--config.file={config}", f"--state.dir={state}")
        assert shown(exporter) == kept
        assert kept > 0


def kept_in(state: Path, base_url: str) -> int:
    """Return the number of the reply whose figures are kept; 0 where none are."""
    store = Store(StateDirectory(state))
    store.use_api(base_url)
    months = store.load(None, Secret(KEY)).months
    return months["2026-10"].sent if months else 0
