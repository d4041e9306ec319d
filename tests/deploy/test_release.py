"""`make dist` refuses a commit that is not ready for release."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.running import ROOT

VERSION = "1.2.3"
DATED = f"# Changelog\n\n## {VERSION} - 2026-11-25\n"


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the files that `check-release` reads, ready for release."""
    for name, text in {"exporter/__init__.py": f'__version__ = "{VERSION}"\n', "CHANGELOG.md": DATED}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tests" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "bin" / "check-release", tmp_path / "tests" / "bin")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def commit(repository: Path) -> None:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message=Release")


def refusal(repository: Path) -> str:
    """Return why the commit is refused; empty if it is not."""
    done = subprocess.run(
        [repository / "tests/bin/check-release"], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr.removeprefix("check-release: ").strip()


def test_a_dated_commit_is_ready_before_and_after_it_is_tagged(repository: Path) -> None:
    assert refusal(repository) == ""
    git(repository, "tag", f"v{VERSION}")
    assert refusal(repository) == ""


def test_a_tag_that_is_not_the_version_is_refused(repository: Path) -> None:
    git(repository, "tag", "v1.2.4")
    assert refusal(repository) == "this commit is tagged v1.2.4, but its version is 1.2.3"


def test_a_version_is_released_only_once(repository: Path) -> None:
    git(repository, "tag", f"v{VERSION}")
    commit(repository)
    assert refusal(repository) == "v1.2.3 is tagged already, at another commit"


def test_uncommitted_changes_are_refused(repository: Path) -> None:
    (repository / "new").touch()
    assert refusal(repository) == "there are changes that are not committed"


@pytest.mark.parametrize(
    ("changelog", "reason"),
    [
        ("# Changelog\n", "CHANGELOG.md has no date for 1.2.3: make version VERSION=1.2.3"),
        (DATED + "\n## Unreleased\n", "CHANGELOG.md has unreleased changes"),
    ],
)
def test_a_changelog_that_is_not_finished_is_refused(repository: Path, changelog: str, reason: str) -> None:
    (repository / "CHANGELOG.md").write_text(changelog)
    commit(repository)
    assert refusal(repository) == reason
