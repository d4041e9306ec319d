"""What is delivered: the wheel and the sdist install into an empty environment and run; the Dockerfile fits."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import requests
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from exporter import __version__
from exporter.backfill.fetcher import latest_complete_month
from tests.support.environments import environment_with
from tests.support.running import ROOT, Started, eventually, run

# Those that read the repository's other files; the rest need nothing but the package.
FROM_THE_SDIST = [
    f"tests/{name}" for name in ("config", "dashboard", "deploy", "docs", "prometheus", "web/test_config.py")
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel made from it; in `direct` a wheel made from the checkout.

    `make release-check` hands its sdist and wheel over in DIST.
    """
    directory = tmp_path_factory.mktemp("built")
    if delivered := os.environ.get("DIST"):
        shutil.copytree(ROOT / delivered, directory, dirs_exist_ok=True)
    else:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory)
    checkout = ("--no-deps", "--no-build-isolation", "--wheel-dir", directory / "direct", ROOT)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", *checkout)
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    (sdist,) = built.glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with what requirements.lock names, and nothing else."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    run(directory / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.lock")
    return directory


def runs(command: Path, started: Started, directory: Path) -> None:
    """See that a command is the exporter, and that its first scrapes and its page have figures."""
    assert run(command, "--version") == f"smspartner-exporter {__version__}\n"
    demo = started.command(command, "--demo", "--web.listen-address=127.0.0.1:0", cwd=directory)
    demo.url = "http://" + demo.line(r"msg=listening .*\baddress=(\S+)")[1]
    assert eventually(lambda: demo.series("sms_cost_monthly"))
    assert "Cost of each month" in requests.get(demo.url, timeout=10).text
    assert demo.end() == 0


@pytest.mark.journey
@pytest.mark.parametrize("source", ["", "direct"])
def test_it_installs_into_an_empty_environment_and_runs(
    source: str, built: Path, environment: Path, started: Started, tmp_path: Path
) -> None:
    (wheel,) = (built / source).glob("*.whl")
    run(environment / "bin" / "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    run(environment / "bin" / "pip", "check")
    runs(environment / "bin" / "smspartner-exporter", started, tmp_path)


@pytest.mark.journey
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_it_runs_with_the_oldest_and_the_newest_versions_that_it_allows(
    resolution: str, wheel: Path, started: Started, tmp_path: Path
) -> None:
    environment = environment_with(tmp_path / "environment", resolution, wheel)
    runs(environment / "bin" / "smspartner-exporter", started, tmp_path)
    month = latest_complete_month(time.time())
    backfill = run(environment / "bin" / "smspartner-exporter", "backfill", "--demo", f"--from={month}")
    assert backfill.endswith("# EOF\n")


@pytest.mark.journey
def test_uv_makes_it_a_tool(
    wheel: Path, started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_TOOL_DIR", str(tmp_path / "tools"))
    monkeypatch.setenv("UV_TOOL_BIN_DIR", str(tmp_path / "bin"))
    # pip knows from where packages are to be had here; uv does not read its configuration.
    locked = ("--require-hashes", "--requirement", "requirements.lock", "--dest", tmp_path / "wheels")
    run(sys.executable, "-m", "pip", "download", "--quiet", *locked)
    offline = ("--offline", "--no-index", "--find-links", tmp_path / "wheels", "--python", sys.executable)
    run(Path(sys.executable).parent / "uv", "tool", "install", *offline, wheel)
    runs(tmp_path / "bin" / "smspartner-exporter", started, tmp_path)


@pytest.mark.journey
def test_the_wheel_holds_the_package_and_metadata_that_an_index_accepts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
        described = archive.read(f"smspartner_exporter-{__version__}.dist-info/METADATA")
    assert {name.split("/")[0] for name in held} == {
        "exporter",
        f"smspartner_exporter-{__version__}.dist-info",
    }
    assert "exporter/py.typed" in held
    assert any(name.endswith("/LICENSE") for name in held)
    metadata = Metadata.from_email(described, validate=True)
    assert str(metadata.version) == __version__
    assert metadata.description
    links = re.findall(r"\]\(([^)]+)\)", metadata.description)
    assert links
    assert [link for link in links if not link.startswith("https://")] == [], "an index shows no other file"


@pytest.mark.journey
def test_the_sdist_holds_every_file_of_the_repository_and_no_other(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    of_the_checkout = run("git", "ls-files", "--cached", "--others", "--exclude-standard")
    assert held == {"PKG-INFO", *of_the_checkout.splitlines()}


@pytest.mark.journey
def test_the_tests_run_from_the_unpacked_sdist(sdist: Path, tmp_path: Path) -> None:
    run("tar", "--extract", "--gzip", f"--file={sdist}", f"--directory={tmp_path}")
    (unpacked,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not journey", *FROM_THE_SDIST]
    done = subprocess.run(
        command,
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout


def test_every_distribution_that_is_imported_is_declared_and_every_declared_one_is_imported() -> None:
    distributions = packages_distributions()
    imported = {
        canonicalize_name(distributions[module][0])
        for file in (ROOT / "exporter").rglob("*.py")
        for module in imported_modules(file) & distributions.keys()
    }
    declared = {
        canonicalize_name(Requirement(each).name)
        for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    loaded_by_others = {"httptools", "tzdata"}  # by uvicorn and zoneinfo
    assert imported - {"smspartner-exporter"} == declared - loaded_by_others


def imported_modules(file: Path) -> set[str]:
    """Return the names of the top-level modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(aliases):
                names |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(str(module)):
                names.add(module.partition(".")[0])
    return names


def test_the_dockerfile_names_this_version() -> None:
    assert f"\nARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_the_image_is_built_from_what_it_needs_and_sees_nothing_else() -> None:
    first, *rules = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied)
