"""Clients that end thousands of connections, at any moment and in any way, leave the process as small as it was."""

import signal
import sys
from pathlib import Path

import pytest
import requests

from tests.support.endings import (
    PROTECTIONS,
    Memory,
    Protection,
    before_the_handshake,
    check_memory,
    end_connection,
    measure,
)
from tests.support.running import ROOT, Running, Started
from tests.support.web_security import WebFiles

pytestmark = pytest.mark.journey


def memory(exporter: Running) -> Memory:
    return measure(lambda: "\n".join(exporter.lines), lambda: exporter.process.send_signal(signal.SIGUSR1))


def begin(started: Started, files: WebFiles) -> tuple[Running, int]:
    """Start an exporter whose memory can be measured. Return it with its port."""
    program = ROOT / "tests" / "support" / "uncollected.py"
    flags = ("--demo", "--web.listen-address=127.0.0.1:0", f"--web.config.file={files.path}")
    exporter = started.command(sys.executable, program, *flags, PYTHONPATH=str(ROOT))
    return exporter, int(exporter.line(r"msg=listening .*\baddress=\S+:(\d+)")[1])


@pytest.mark.parametrize("connections", [100, pytest.param(1000, marks=pytest.mark.fire)])
@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
def test_endings_leave_neither_memory_nor_an_object_behind_without_garbage_collection(
    started: Started, tmp_path: Path, protection: Protection, connections: int
) -> None:
    files = WebFiles(tmp_path)
    context = protection.write(files)
    exporter, port = begin(started, files)
    check_memory(port, context, connections, lambda: memory(exporter))


def test_a_thousand_connections_that_wait_to_be_accepted_are_not_held_at_once(
    started: Started, tmp_path: Path
) -> None:
    files = WebFiles(tmp_path)
    files.write(tls={})
    exporter, port = begin(started, files)
    before = memory(exporter)
    exporter.process.send_signal(signal.SIGSTOP)
    for _ in range(1000):
        end_connection(port, before_the_handshake, None, reset=False)
    exporter.process.send_signal(signal.SIGCONT)
    assert requests.get(f"https://127.0.0.1:{port}/-/healthy", verify=str(files.ca_file), timeout=10).ok
    assert memory(exporter).resident_kb - before.resident_kb < 5 << 10
