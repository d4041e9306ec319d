"""A log that nobody reads: a stalled log shipper, a paused terminal."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.running import Running, Started, eventually, free_port

pytestmark = pytest.mark.journey

PIPE_SIZE = 4096
RELOADS = 1200


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    yield read, write
    os.close(read)


def requests_of(simulator: Running) -> int:
    state = requests.get(simulator.url.removesuffix("/v1") + "/simulator", timeout=10).json()
    return len(state["requests"])


def test_scrapes_and_polling_go_on_while_nobody_reads_the_log_and_then_it_tells_what_it_dropped(
    started: Started, pipe: tuple[int, int], tmp_path: Path, state: Path
) -> None:
    simulator = started.simulator()
    config = tmp_path / "config.yaml"
    polls = {"poll_interval": "13s", "current_month": False, "credits": False}
    config.write_text(json.dumps({"base_url": simulator.url, "api_key": "S3CR3T-K3Y", **polls}))
    url, (read, write) = f"http://127.0.0.1:{free_port()}", pipe
    flags = (f"--config.file={config}", f"--state.dir={state}", "--log.level=debug")
    address = f"--web.listen-address={url.removeprefix('http://')}"
    command = ("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "exporter", address, *flags)
    with subprocess.Popen(command, stderr=write) as exporter:
        try:
            os.close(write)
            eventually(lambda: requests.get(f"{url}/-/healthy", timeout=10).ok)
            for _ in range(RELOADS):
                assert requests.post(f"{url}/-/reload", timeout=10).ok
            asked = requests_of(simulator)
            eventually(lambda: requests_of(simulator) > asked, within=40)
            for path in ("/metrics", "/-/healthy", "/"):
                assert requests.get(url + path, timeout=10).ok
            text = os.read(read, PIPE_SIZE)
            assert len(text) > PIPE_SIZE // 2
            while b"log lines dropped" not in text:
                text += os.read(read, PIPE_SIZE)
            # Nobody reads again, and it ends in time all the same.
            for _ in range(100):
                assert requests.post(f"{url}/-/reload", timeout=10).ok
            before = time.monotonic()
            exporter.terminate()
            assert exporter.wait(10) == 0
            assert time.monotonic() - before < 2
        finally:
            exporter.kill()
    lines = text.decode().splitlines()
    assert all(line.startswith("time=") for line in lines)
    assert 0 < sum("configuration reloaded" in line for line in lines) < RELOADS
    told = next(number for number, line in enumerate(lines) if "log lines dropped" in line)
    assert told > 1000, "what waited comes before what was dropped is told"
    assert "level=warning" in lines[told]
