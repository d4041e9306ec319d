"""The documentation, for the tests that hold it against the product."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.running import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


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
