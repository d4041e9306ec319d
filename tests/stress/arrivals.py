"""What arrived at the provider, the verdict over it, and the table of the verdicts.

`python -m tests.stress.arrivals` prints the table of the last `make fire`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from tests.support.running import ROOT
from tests.support.simulator import most_in_60s

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


def judge_each_key(scenario: str, arrivals: Sequence[Arrival], seconds: float) -> Verdict:
    """Judge where the limit is that of each key: by the key that came nearest to it."""
    keys = {arrival.key for arrival in arrivals}
    each = [judge(scenario, [one for one in arrivals if one.key == key], seconds) for key in keys]
    worst = max(each, key=lambda verdict: (verdict.most, verdict.share))
    return replace(worst, requests=len(arrivals))


def least_gap(arrivals: Sequence[Arrival]) -> float:
    """Return the shortest time between two arrivals of the same key."""
    keys = {arrival.key for arrival in arrivals}
    instants = (sorted(one.instant for one in arrivals if one.key == key) for key in keys)
    return min(after - before for of_a_key in instants for before, after in pairwise(of_a_key))


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
