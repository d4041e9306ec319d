"""What is delivered: the wheel and the sdist install into an empty environment and run; the Dockerfile fits."""

import re
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from exporter import __version__
from tests.running import ROOT, Started, eventually, run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and in `direct` and `from-sdist` a wheel made from either."""
    directory = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", directory)
    (sdist,) = directory.glob("*.tar.gz")
    for source, target in ((ROOT, "direct"), (sdist, "from-sdist")):
        run(
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            source,
            "-w",
            directory / target,
        )
    return directory


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with what requirements.lock names, and nothing else."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    run(directory / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.lock")
    return directory


@pytest.mark.journey
@pytest.mark.parametrize("source", ["direct", "from-sdist"])
def test_it_installs_into_an_empty_environment_and_runs(
    source: str, built: Path, environment: Path, started: Started, tmp_path: Path
) -> None:
    (wheel,) = (built / source).glob("*.whl")
    run(environment / "bin" / "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    run(environment / "bin" / "pip", "check")
    command = environment / "bin" / "smspartner-exporter"
    assert run(command, "--version") == f"smspartner-exporter {__version__}\n"
    demo = started.command(command, "--demo", "--web.listen-address=127.0.0.1:0", cwd=tmp_path)
    demo.url = "http://" + demo.line(r"msg=listening .*\baddress=(\S+)")[1]
    assert eventually(lambda: demo.series("sms_cost_monthly"))
    assert demo.end() == 0


@pytest.mark.journey
def test_the_wheel_holds_the_package_and_the_sdist_what_tests_it(built: Path) -> None:
    (wheel,) = (built / "direct").glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in held} == {
        "exporter",
        f"smspartner_exporter-{__version__}.dist-info",
    }
    assert "exporter/py.typed" in held
    assert any(name.endswith("/LICENSE") for name in held)
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "config.example.yaml",
        "tests/test_packaging.py",
    } <= names


def test_the_dockerfile_names_this_version() -> None:
    assert f"\nARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_the_image_is_built_from_what_it_needs_and_sees_nothing_else() -> None:
    first, *rules = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied)
