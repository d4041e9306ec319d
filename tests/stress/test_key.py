"""The key is found nowhere, whatever fails; and it would be found."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import requests

from tests.stress.key_failures import (
    ECHO,
    FAILURES,
    GOOD,
    UNUSABLE,
    Field,
    refusal,
    reply,
)
from tests.stress.sabotaged import DEFECTS
from tests.stress.search import ENCODINGS, KEY, PARTS, found_in, pages, remains
from tests.support.peer import Behaviour, hang, read_then, send
from tests.support.running import Running, Started, eventually

pytestmark = pytest.mark.journey

EXPORTER = ("-m", "exporter")
FORMATS = ("logfmt", "json")


@pytest.fixture
def fire(tmp_path: Path) -> Iterator[Field]:
    one = Field(tmp_path)
    yield one
    for peer in one.others:
        peer.end()


def start(started: Started, config: Path, state: Path, environment: dict[str, str], *program: str) -> Running:
    """Start a program with everything in its log; its format is another in every other test."""
    style = FORMATS[sum(map(ord, str(state))) % 2]
    flags = (
        "--log.level=debug",
        f"--log.format={style}",
        f"--config.file={config}",
        "--state.dir",
        str(state),
    )
    return started.command(sys.executable, *program, *flags, cwd=None, **environment)


def exporter_of(
    started: Started, config: Path, state: Path, environment: dict[str, str], *program: str
) -> Running:
    running = start(started, config, state, environment, *program, "--web.listen-address=127.0.0.1:0")
    running.url = "http://" + running.line(r'address"?[=:] ?"?([0-9.:]+)')[1]
    return running


def failing(exporter: Running) -> list[str]:
    return [
        re.findall(r'reason="(\w+)"', series)[0]
        for series, value in exporter.series("smspartner_poll_failing").items()
        if value
    ]


def assert_found_nowhere(fire: Field, exporter: Running, state: Path, shown: Mapping[str, bytes]) -> None:
    evidence = {**shown, **remains(exporter, state), "others": b"\n".join(fire.heard)}
    assert len(evidence["output"]) > 100
    assert found_in(evidence) == {}
    assert b"Traceback" not in evidence["output"]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_does_not_show_the_key(fire: Field, started: Started, state: Path, failure: str) -> None:
    reason, prepare = FAILURES[failure]
    config = fire.configure(base_url=prepare(fire))
    exporter = exporter_of(started, config, state, fire.environment, *EXPORTER)
    assert eventually(lambda: failing(exporter)) == [reason]
    shown = pages(exporter)
    assert exporter.end() == 0
    assert any("poll failed" in line for line in exporter.lines)
    assert_found_nowhere(fire, exporter, state, shown)


ENDS_BY = {"asking", "parsing the reply", "publishing"}


@pytest.mark.parametrize("defect", sorted(DEFECTS.keys() - {"asking for a month"}))
def test_an_unexpected_exception_does_not_show_the_key(
    fire: Field, started: Started, state: Path, defect: str
) -> None:
    config = fire.configure(base_url=fire.peer(GOOD))
    exporter = exporter_of(started, config, state, {}, "-m", "tests.stress.sabotaged", defect)
    eventually(lambda: "poll" in "".join(exporter.lines) or fire.others[0].connections)
    shown = {} if defect in ENDS_BY else pages(exporter)
    exporter.line("Defect|<hidden>")
    if defect in ENDS_BY:
        assert exporter.process.wait(10) == 1
    exporter.end()
    assert_found_nowhere(fire, exporter, state, shown)


def test_a_planted_leak_is_found_in_every_place(fire: Field, started: Started, state: Path) -> None:
    config = fire.configure(base_url=fire.peer(GOOD))
    environment = {"LEAK": KEY, "LEAK_TO": fire.other(reply(""))}
    exporter = exporter_of(started, config, state, environment, "-m", "tests.stress.sabotaged", KEY)
    eventually(lambda: exporter.series("sms_"))
    shown = pages(exporter)
    exporter.end()
    evidence = {**shown, **remains(exporter, state), "others": b"\n".join(fire.heard)}
    assert found_in(evidence).keys() == evidence.keys()


@pytest.mark.parametrize("text", [KEY, *PARTS])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_planted_leak_is_found_in_every_encoding(encoding: str, text: str) -> None:
    encoded = ENCODINGS[encoding](text)
    assert f"{encoding} {text}" in found_in({"here": f'before="{encoded}"&behind'.encode()})["here"]
    assert found_in({"here": b"".join(bytes([byte]) + b"_" for byte in encoded.encode())}) == {}


def test_successful_polls_show_neither_the_key_nor_personal_data(
    fire: Field, started: Started, state: Path
) -> None:
    simulator = started.simulator()
    config = fire.configure(base_url=simulator.url, credits=True)
    exporter = exporter_of(started, config, state, {}, *EXPORTER)
    eventually(lambda: exporter.series("smspartner_balance"), within=60)
    shown = pages(exporter)
    exporter.end()
    assert_found_nowhere(fire, exporter, state, shown)
    person = requests.get(f"{simulator.url}/me", params={"apiKey": "any"}, timeout=5).json()["user"]
    everything = b"\n".join({**shown, **remains(exporter, state)}.values()).decode()
    assert not [text for text in person.values() if text in everything]


def test_an_invalid_configuration_does_not_show_the_key(fire: Field, started: Started, state: Path) -> None:
    config = fire.configure(base_url=fire.peer(GOOD))
    exporter = exporter_of(started, config, state, {}, *EXPORTER)
    shown = {}
    for name, text in UNUSABLE.items():
        config.write_text(text)
        answer = requests.post(f"{exporter.url}/-/reload", timeout=10)
        assert answer.status_code == 500
        shown[name] = answer.content
    exporter.end()
    assert_found_nowhere(fire, exporter, state, shown)


BACKFILLS: Mapping[str, tuple[Behaviour, Sequence[str], str]] = {
    "complete": (GOOD, EXPORTER, "backfill complete"),
    "rejected": (refusal(10, message=ECHO), EXPORTER, "key_rejected"),
    "limited": (reply(ECHO, "429 No"), EXPORTER, "rate_limited"),
    "no JSON": (reply(ECHO), EXPORTER, "not JSON"),
    "closed": (read_then(send()), EXPORTER, "closed without a reply"),
    "a defect": (hang, ("-m", "tests.stress.sabotaged", "asking for a month"), "Defect at"),
}


TRIED_AGAIN = {"rate_limited", "not JSON", "closed without a reply"}


@pytest.mark.parametrize("case", BACKFILLS)
def test_a_backfill_does_not_show_the_key(fire: Field, started: Started, state: Path, case: str) -> None:
    behave, program, says = BACKFILLS[case]
    config = fire.configure(base_url=fire.peer(behave))
    output = fire.directory / "months.om"
    months = ("--from=2026-10", "--to=2026-10", f"--output={output}")
    backfill = start(started, config, state, {}, *program, "backfill", *months)
    backfill.line(says)
    if says not in TRIED_AGAIN:
        backfill.process.wait(15)
    assert backfill.end() == (0 if case == "complete" else 1)
    shown = {"months": output.read_bytes()} if case == "complete" else {}
    assert_found_nowhere(fire, backfill, state, shown)
