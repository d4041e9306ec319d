"""What arrived at the provider, the verdict over it, and the table of the verdicts.

`python -m tests.fire.arrivals` prints the table of the last `make fire`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from exporter.simulator import most_in_60s
from tests.running import ROOT

LIMIT = 5
RESULTS = ROOT / ".fire"


@dataclass(frozen=True)
class Arrival:
    """A request as the provider counts it: when, and of which key."""

    instant: float
    key: str


@dataclass(frozen=True)
class Verdict:
    """How the limit was kept, and how much of it was used between the first arrival and the last."""

    scenario: str
    minutes: float
    requests: int
    most: int
    share: float

    def keep(self, row: int) -> None:
        """Keep it for the table."""
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{row:02}.json").write_text(json.dumps(asdict(self)))


def judge(scenario: str, arrivals: Sequence[Arrival], seconds: float) -> Verdict:
    """Judge all arrivals of a scenario that took so long."""
    instants = sorted(arrival.instant for arrival in arrivals)
    span = instants[-1] - instants[0] if instants else 0
    share = (len(instants) - 1) / (span / 60 * LIMIT) if span else 0
    return Verdict(scenario, seconds / 60, len(instants), most_in_60s(instants), share)


def least_gap(arrivals: Sequence[Arrival]) -> float:
    """Return the shortest time between two arrivals of the same key."""
    instants: dict[str, list[float]] = {}
    for arrival in arrivals:
        instants.setdefault(arrival.key, []).append(arrival.instant)
    return min(after - before for one in instants.values() for before, after in pairwise(sorted(one)))


def table(directory: Path = RESULTS) -> str:
    """Return the kept verdicts as a table in Markdown."""
    lines = [
        "| scenario | minutes | requests | most in any 60 s | of the limit used |",
        "| --- | --- | --- | --- | --- |",
    ]
    for path in sorted(directory.glob("*.json")):
        one = Verdict(**json.loads(path.read_text()))
        lines.append(
            f"| {one.scenario} | {one.minutes:.0f} | {one.requests} | {one.most} | {one.share:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
