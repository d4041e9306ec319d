"""Two exporters on one state directory, of which the second one runs on another machine, as far as it can tell."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from tests.support.running import Started

pytestmark = pytest.mark.journey

COMMANDS = {"run": ["run", "--web.listen-address=127.0.0.1:0"], "backfill": ["backfill", "--from=2024-01"]}


def other_machine(what: str, directory: Path) -> list[str | Path]:
    """Return the command that runs another one as if on another machine. Fail if there is no way to."""
    boot = directory / "boot_id"
    boot.write_text("00000000-0000-4000-8000-000000000000\n")
    hide = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    for user in ((), ("--user", "--map-root-user")):
        ways: dict[str, list[str | Path]] = {
            "another boot id": ["unshare", *user, "--mount", "sh", "-c", hide, boot],
            "another monotonic clock": ["unshare", *user, "--time", "--monotonic", "5000"],
        }
        if subprocess.run([*ways[what], "true"], check=False, capture_output=True).returncode == 0:
            return ways[what]
    pytest.fail(
        f"There is no way to have {what} here: `unshare --user --map-root-user --time true` must succeed"
    )


@pytest.mark.parametrize("what", ["another boot id", "another monotonic clock"])
def test_another_machine_is_refused_with_one_line_until_the_first_has_ended(
    started: Started, state: Path, tmp_path: Path, what: str
) -> None:
    simulator = started.simulator()
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"base_url": simulator.url, "api_key": "S3CR+T/key", "credits": False}))
    files = (f"--config.file={config}", f"--state.dir={state}")
    first = started.exporter(*files)
    first.line("poll succeeded")
    under = other_machine(what, tmp_path)
    for command in COMMANDS.values():
        second = started.command(*under, sys.executable, "-m", "exporter", *command, *files)
        second.process.wait(15)
        assert second.end() == 1
        assert second.lines == [
            f"smspartner-exporter: {state}: this state directory is in use by another machine: {os.uname().nodename}"
        ]
    first.end(signal.SIGKILL)
    second = started.exporter(*files, under=under)
    second.line("earlier requests are unknown")
    second.line("poll succeeded", within=20)
    reply = requests.get(simulator.url.removesuffix("/v1") + "/simulator", timeout=5).json()
    arrivals = [request["monotonic"] for request in reply["requests"]]
    assert min(later - earlier for earlier, later in pairwise(arrivals)) > 12.2
