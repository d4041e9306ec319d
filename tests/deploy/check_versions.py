"""The tests that start no process pass with the oldest and the newest versions allowed: `make check-versions`."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.environments import UV, environment_with
from tests.support.running import ROOT, run

TOOLS = ("pytest", "pytest-xdist", "hypothesis", "responses", "trustme", "packaging")
NEED_MORE_TOOLS = ("tests/dashboard", "tests/deploy", "tests/docs")


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_the_fast_tests_pass(resolution: str, tmp_path: Path) -> None:
    environment = environment_with(tmp_path, resolution, ROOT)
    python = environment / "bin" / "python"
    run(UV, "pip", "install", "--quiet", f"--python={python}", *TOOLS)
    print(run(UV, "pip", "freeze", f"--python={python}"))
    command = [str(python), "-m", "pytest", "-q", "-n", str(os.cpu_count()), "-p", "no:cacheprovider"]
    chosen = [
        "-m",
        "not journey and not fire and not browser",
        *(f"--ignore={path}" for path in NEED_MORE_TOOLS),
    ]
    done = subprocess.run([*command, *chosen], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
