"""The README: short enough for a first look, and the way to every other page."""

import re

from tests.support.documents import PAGES, table
from tests.support.running import ROOT

README = ROOT / "README.md"
METRICS = ROOT / "docs" / "metrics.md"


def test_a_stranger_reads_it_in_minutes() -> None:
    without_code = re.sub(r"^```.*?^```$", "", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    prose = [line for line in without_code.splitlines() if not line.startswith("|")]
    assert len(" ".join(prose).split()) <= 1400


def test_it_lists_every_page_of_the_documentation() -> None:
    listed = re.findall(r"\]\(([^)#]+)\)", " ".join(cell for row in table(README, "page") for cell in row))
    assert {(ROOT / path) for path in listed} == set(PAGES) - {README}


def test_its_metrics_have_the_labels_that_the_full_list_gives_them() -> None:
    full = {name: labels for name, _, labels, _ in table(METRICS, "metric")}
    shown = {name: labels for name, labels, _ in table(README, "metric")}
    assert shown.items() <= full.items()
