"""Environments with other versions of the dependencies than the locked ones."""

import sys
from pathlib import Path

from tests.support.running import run

UV = Path(sys.executable).parent / "uv"


def environment_with(directory: Path, resolution: str, *requirements: str | Path) -> Path:
    """Make an environment with the oldest (`lowest-direct`) or the newest (`highest`) versions that are allowed."""
    run(UV, "venv", "--quiet", f"--python={sys.executable}", directory)
    where = f"--python={directory / 'bin' / 'python'}"
    run(UV, "pip", "install", "--quiet", where, f"--resolution={resolution}", *requirements)
    return directory
