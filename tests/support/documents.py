"""The documentation, for the tests that hold it against the product."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.running import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """Shell commands of a page, and what the comment before them says."""

    script: str
    serves: str | None
    not_run: str | None


def snippets(page: Path) -> list[Snippet]:
    """Return the shell commands of a page, in order."""
    found = re.findall(
        r"^(?:<!-- (serves|not run): ([^\n]+) -->\n)?```sh\n(.*?)^```",
        page.read_text(),
        re.DOTALL | re.MULTILINE,
    )
    return [
        Snippet(script, said if kind == "serves" else None, said if kind == "not run" else None)
        for kind, said, script in found
    ]


def yaml_blocks(page: Path, *keys: str) -> list[dict[str, Any]]:
    """Return the YAML of a page that has all of these keys at its top."""
    parsed = [yaml.safe_load(block) for block in blocks(page, "yaml")]
    return [block for block in parsed if set(keys) <= set(block)]


def table(page: Path, header: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this header."""
    _, _, after = page.read_text().partition(f"| {header} |")
    rows = re.match(r"(?:[^\n]*\n)\| ---[^\n]*\n((?:\|[^\n]*\n)+)", after)
    assert rows, header
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]
