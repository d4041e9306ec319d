"""Fixtures that several test modules use."""

import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from exporter.ratelimit.limiter import boot_id
from exporter.ratelimit.lock_file import LockFile
from exporter.state.directory import StateDirectory
from tests.support.fakes import FakeClock
from tests.support.peer import resources
from tests.support.running import Started, eventually

# How long an example takes says something of the machine's load, and nothing of the product.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each worker begin with a long journey: each has a run of the tests at first, and takes over from others."""
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    share = -(-len(others) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in long[worker::workers] + others[worker * share : (worker + 1) * share]
    ]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def started() -> Iterator[Started]:
    """Start real processes; they are ended with the test."""
    processes = Started()
    yield processes
    processes.end()


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Neither a thread nor a file descriptor outlives the exchange."""
    before = resources()
    yield
    eventually(lambda: resources() <= before, within=5)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the program does to its process: signals, hooks, logging."""
    hooks = [
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
        (logging, "raiseExceptions"),
        (warnings, "showwarning"),
    ]
    for owner, name in hooks:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    levels = {name: logging.getLogger(name).level for name in ("", "urllib3", "asyncio", "uvicorn")}
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for handler in logging.getLogger().handlers:
        handler.close()
    for number, action in signals.items():
        signal.signal(number, action)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="module")
def processes() -> Iterator[Started]:
    """Start real processes that the tests of a module share."""
    shared = Started()
    yield shared
    shared.end()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory as a process left it that asked nothing lately: its past is known."""
    directory = StateDirectory(tmp_path / "state")
    with LockFile(directory, boot_id()).locked() as file:
        assert file
        file.write(time.monotonic())
    return directory.path
