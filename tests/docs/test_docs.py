"""The documentation: links lead somewhere, commands exist, and what is shown is accepted by what reads it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.config.loader import load
from exporter.config.schema import KEYS
from tests.support.documents import PAGES, blocks, snippets, table, yaml_blocks
from tests.support.running import ROOT, TOOLS, run

MAKEFILE = (ROOT / "Makefile").read_text()
WEB_CONFIG = {"tls_server_config", "http_server_config", "basic_auth_users"}
KUSTOMIZATION = {"resources", "patches"}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("https://", "http://")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for page in PAGES:
        shown = "\n".join([*blocks(page, "sh"), *re.findall(r"`(make [^`]+)`", page.read_text())])
        assert set(re.findall(r"\bmake ([a-z-]+)", shown)) <= targets, page.name


@each_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    for path in re.findall(r"\btests/[\w/.*-]+", page.read_text()):
        assert any(ROOT.glob(path.rstrip("/."))), path


@each_page
def test_commands_are_in_blocks_that_make_check_docs_runs(page: Path) -> None:
    text = page.read_text()
    languages = set(re.findall(r"^ *```(.+)$", text, re.MULTILINE))
    assert languages <= {"sh", "yaml", "ini", "promql"}
    comments = re.findall(r"^<!-- .+", text, re.MULTILINE)
    assert len(comments) == len([each for each in snippets(page) if each.serves or each.not_run])


def accepted(shown: dict[str, Any], tmp_path: Path) -> bool:
    """Hold what a page shows against what reads it."""
    if set(shown) <= set(KEYS[""]):
        keys = [account["api_key_file"] for account in shown["accounts"]]
        for name in keys:
            (tmp_path / Path(name).name).write_text(f"key of {name}".replace(" ", "-"))
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(shown).replace("/run/secrets", str(tmp_path)))
        return len(load(file, {}).accounts) == len(keys)
    if "scrape_configs" in shown:
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(shown))
        return "SUCCESS" in run(TOOLS / "promtool", "check", "config", file)
    if "groups" in shown:
        file = tmp_path / "rules.yml"
        file.write_text(yaml.safe_dump(shown))
        return "SUCCESS" in run(TOOLS / "promtool", "check", "rules", "--lint-fatal", file)
    # Whose files are not there, and which make check-kubernetes builds.
    return set(shown) <= WEB_CONFIG or bool(set(shown) & KUSTOMIZATION)


@pytest.mark.journey
@each_page
def test_what_is_shown_is_accepted(page: Path, tmp_path: Path) -> None:
    for shown in yaml_blocks(page):
        assert accepted(shown, tmp_path), shown


def test_the_architecture_page_names_every_package_and_every_module_beside_them() -> None:
    rows = table(ROOT / "docs" / "architecture.md", "where")
    named = [name for where, _ in rows for name in re.findall(r"`([\w/.]+)`", where)]
    packages = [f"{path.parent.name}/" for path in ROOT.glob("exporter/*/__init__.py")]
    modules = [path.name for path in ROOT.glob("exporter/*.py") if path.name != "__init__.py"]
    assert sorted(named) == sorted([*packages, *modules])


def test_every_file_that_the_architecture_page_names_exists() -> None:
    named = re.findall(r"`(\w+/[\w/]+\.\w+)`", (ROOT / "docs" / "architecture.md").read_text())
    assert len(named) > 5
    for path in named:
        assert (ROOT / "exporter" / path).exists(), path


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings[len(headings) - len(released) :] == released, "Unreleased comes first, and once"
    for heading in released:
        assert re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading)
    numbers = [heading.partition(" ")[0] for heading in released]
    assert numbers == sorted(numbers, key=lambda text: [int(part) for part in text.split(".")], reverse=True)
    assert [*numbers, "0.1.0"][0] == __version__, "0.1.0 will be the first"
