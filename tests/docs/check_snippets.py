"""The shell commands of the pages work as printed: `make check-docs`.

They run in order, the README's first, in a copy of the checkout, for a user whose home directory is empty. A comment
before a block says if it is a server (`<!-- serves: URL -->`) or cannot be run (`<!-- not run: REASON -->`).
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.documents import PAGES, snippets
from tests.support.running import ROOT, TOOLS, run

README = ROOT / "README.md"
IN_ORDER = [README, *(page for page in PAGES if page != README)]
DEBIAN = {"prometheus-alertmanager": "alertmanager", "prometheus": "prometheus", "promtool": "promtool"}
INHERITED = ("PATH", "LANG", "PIP_", "SSL_", "REQUESTS_", "HTTP", "NO_PROXY", "http", "no_proxy")


class User:
    """Somebody with a fresh checkout, Debian's packages, and nothing of ours."""

    def __init__(self, directory: Path) -> None:
        self._checkout = directory / "checkout"
        for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
            if (ROOT / name).exists():
                (self._checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self._checkout / name)
        programs, home = directory / "bin", directory / "home"
        programs.mkdir()
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\nname = Somebody\nemail = somebody@example.org\n")
        for name, tool in DEBIAN.items():
            (programs / name).symlink_to(TOOLS / tool)
        # The unpacked Alertmanager looks for its templates here; an installed one has them.
        (self._checkout / ".tools").symlink_to(TOOLS.parent)
        self._note_a_change()
        inherited = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
        path = f"{home}/.local/bin:{programs}:{inherited['PATH']}"
        self._environment = {**inherited, "HOME": str(home), "PATH": path}
        self.run("git init --quiet && git add --all && git commit --quiet --message=Everything")

    def _note_a_change(self) -> None:
        """Leave something to release, as CONTRIBUTING.md asks of whoever changes something."""
        changelog = self._checkout / "CHANGELOG.md"
        text = changelog.read_text()
        if "\n## Unreleased\n" not in text:
            changelog.write_text(text.replace("\n## ", "\n## Unreleased\n\n- A change.\n\n## ", 1))

    def run(self, script: str) -> None:
        """Run a script that must succeed."""
        with self._started(script) as process:
            output, _ = process.communicate(timeout=600)
            assert process.returncode == 0, f"{script}\n{output}"

    @contextmanager
    def serving(self, script: str, url: str) -> Iterator[None]:
        """Run a server until the end. It must answer under this URL."""
        assert not answers(url), f"something else answers on {url}"
        with self._started(script) as process:
            deadline = time.monotonic() + 300
            while not answers(url):
                assert process.poll() is None, f"{script}\n{process.communicate()[0]}"
                assert time.monotonic() < deadline, f"{script}\nno answer on {url}"
                time.sleep(0.5)
            yield

    @contextmanager
    def _started(self, script: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._checkout,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=20)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(tmp_path_factory.mktemp("user"))


@pytest.mark.parametrize("page", IN_ORDER, ids=lambda page: page.name)
def test_the_commands_of_the_page_work_as_printed(user: User, page: Path) -> None:
    with ExitStack() as servers:
        for snippet in snippets(page):
            if snippet.not_run:
                print(f"NOT run: {snippet.script.splitlines()[0]} … ({snippet.not_run})")
            elif snippet.serves:
                servers.enter_context(user.serving(snippet.script, snippet.serves))
            else:
                user.run(snippet.script)
