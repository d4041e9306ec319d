"""What the checks install on a machine: nothing, unless whoever sits at the terminal agrees."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.support.running import ROOT


@pytest.mark.parametrize(
    ("answer", "installs"), [(b"y\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
)
def test_packages_are_installed_on_a_terminal_only_after_a_yes(
    tmp_path: Path, answer: bytes, installs: bool
) -> None:
    calls = tmp_path / "calls"
    for name in ("apt-get", "sudo"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n')
        program.chmod(0o755)
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = subprocess.run(
        [ROOT / "tests" / "bin" / "install-packages", "some-package"],
        stdin=theirs,
        capture_output=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=10,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert b"some-package" in done.stderr
    assert (done.returncode == 0) is installs
    assert calls.exists() is installs
