"""The key is found nowhere, whatever fails; and it would be found."""

import json
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import requests

from exporter.figures import Reason
from tests.fire.sabotaged import DEFECTS
from tests.fire.search import ENCODINGS, KEY, PARTS, found_in, pages, remains
from tests.peer import Behaviour, Peer
from tests.running import Running, Started, eventually, free_port
from tests.test_transport import PEM, over_tls, read_then, send

pytestmark = pytest.mark.journey

EXPORTER = ("-m", "exporter")
FORMATS = ("logfmt", "json")
URL = f"https://api.example/v1/me?apiKey={quote_plus(KEY)}"
FIGURES = {"success": True, "datas": [{"year": "2026", "m": "10", "cost": "1.5", "nb_send": "3"}]}


@dataclass
class Field:
    """Where an exporter fails: what it is given, and who hears of it."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    others: list[Peer] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    """What reached those who are not the API."""

    def peer(self, behave: Behaviour, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Start somebody who listens. Return the base_url."""
        self.others.append(Peer(behave))
        return f"{scheme}://{host}:{self.others[-1].port}"

    def other(self, behave: Behaviour = lambda _: None, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Start somebody who must not get to know the key."""

        def listen(connection: socket.socket) -> None:
            self.heard.append(connection.recv(65536, socket.MSG_PEEK))
            behave(connection)

        return self.peer(listen, scheme, host)

    def configure(self, **values: object) -> Path:
        """Write the configuration, with the key in a file of its own."""
        (self.directory / "key").write_text(KEY)
        file = self.directory / "config.yaml"
        usual = {"api_key_file": "key", "current_month": False, "credits": False, "timeout": "2s"}
        file.write_text(json.dumps(usual | values))
        return file


@pytest.fixture
def fire(tmp_path: Path) -> Iterator[Field]:
    one = Field(tmp_path)
    yield one
    for peer in one.others:
        peer.end()


def reply(body: str, status: str = "200 OK", *headers: str) -> Behaviour:
    """Answer a request."""
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: text/html", *headers])
    return read_then(send(f"{head}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()))


def refusal(code: int, **why: object) -> Behaviour:
    return reply(json.dumps({"success": False, "code": code, **why}))


def spoilt(**entry: object) -> Behaviour:
    """Answer with an entry in which something is wrong, and with the key in it."""
    entries = [{"year": "2026", "m": "10", "cost": "1.5", "nb_send": "3", **entry}]
    return reply(json.dumps({"success": True, "datas": entries}, ensure_ascii=False))


def hang(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def begin_and_hang(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 ")
    hang(connection)


def tunnel_to_plain_http(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.recv(65536)
    connection.sendall(f"HTTP/1.1 400 {PARTS[0]}\r\n\r\n".encode())


ECHO = f"<h1>{KEY}</h1> {URL} {quote(quote(KEY, safe=''))} {json.dumps(KEY)}"
Setting = Callable[[Field], str]
"""Prepares a failure; returns the base_url."""


def api(behave: Behaviour) -> Setting:
    return lambda fire: fire.peer(behave)


def dns(fire: Field) -> str:
    return "https://no-such-host.invalid/v1"


def refused(fire: Field) -> str:
    return f"http://127.0.0.1:{free_port()}"


def self_signed(fire: Field) -> str:
    return fire.other(over_tls(hang), "https")


def wrong_name(fire: Field) -> str:
    fire.environment["REQUESTS_CA_BUNDLE"] = str(PEM)
    return fire.peer(over_tls(hang), "https", "localhost")


def plain_http_where_tls_is(fire: Field) -> str:
    return fire.other(send(f"HTTP/1.1 400 {PARTS[0]}\r\n\r\n".encode()), "https")


def proxy(behave: Behaviour) -> Setting:
    def prepare(fire: Field) -> str:
        fire.environment["HTTPS_PROXY"] = fire.other(behave)
        return "https://api.example/v1"

    return prepare


def no_proxy_there(fire: Field) -> str:
    fire.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{free_port()}"
    return "https://api.example/v1"


def to_another_host(fire: Field) -> str:
    place = f"Location: {fire.other()}/?apiKey={quote(KEY)}"
    return fire.peer(reply(ECHO, "302 Found", place))


def down_to_http(fire: Field) -> str:
    fire.environment["REQUESTS_CA_BUNDLE"] = str(PEM)
    place = f"Location: {fire.other()}/v1/me?apiKey={quote(KEY)}"
    return fire.peer(
        over_tls(reply(ECHO, "301 Moved Permanently", place, f"Set-Cookie: {quote(KEY)}")), "https"
    )


FAILURES: Mapping[str, tuple[Reason, Setting]] = {
    "rejected": (Reason.KEY_REJECTED, api(refusal(10, message=ECHO))),
    "rejected by a page": (Reason.KEY_REJECTED, api(reply(ECHO, "401 Unauthorized"))),
    "denied": (Reason.ACCESS_DENIED, api(refusal(96, error=[{"elementId": KEY, "message": URL}]))),
    "limited": (Reason.RATE_LIMITED, api(reply(ECHO, "429 No", f"Retry-After: {quote(KEY)}"))),
    "an unknown code": (Reason.SERVER_ERROR, api(refusal(555, message=f"{'x' * 100}{KEY}"))),
    "a server's error": (Reason.SERVER_ERROR, api(reply(ECHO, f"500 {quote(KEY)}"))),
    "no reply": (Reason.TIMEOUT, api(hang)),
    "half a reply": (Reason.TIMEOUT, api(read_then(begin_and_hang))),
    "closed": (Reason.UNREACHABLE, api(read_then(send()))),
    "no JSON": (Reason.INVALID_REPLY, api(reply(ECHO))),
    "no HTTP": (Reason.INVALID_REPLY, api(read_then(send(f"{ECHO}\r\n\r\n".encode())))),
    "no length": (Reason.INVALID_REPLY, api(reply(ECHO, "200 OK", "Transfer-Encoding: chunked"))),
    "the key as a year": (Reason.INVALID_REPLY, api(spoilt(year=KEY))),
    "the key as a cost": (Reason.INVALID_REPLY, api(spoilt(cost=KEY))),
    "the key as a field": (Reason.INVALID_REPLY, api(spoilt(**{KEY: 1, "m": None}))),
    "the key as a code": (Reason.INVALID_REPLY, api(reply(json.dumps({"success": True, "code": KEY})))),
    "no such host": (Reason.UNREACHABLE, dns),
    "nobody listens": (Reason.UNREACHABLE, refused),
    "a certificate nobody signed": (Reason.UNREACHABLE, self_signed),
    "a certificate of another host": (Reason.UNREACHABLE, wrong_name),
    "no TLS": (Reason.UNREACHABLE, plain_http_where_tls_is),
    "no proxy": (Reason.UNREACHABLE, no_proxy_there),
    "a proxy that refuses": (
        Reason.UNREACHABLE,
        proxy(send(f"HTTP/1.1 407 {PARTS[0]}\r\nContent-Length: 0\r\n\r\n".encode())),
    ),
    "a proxy that is none": (Reason.UNREACHABLE, proxy(send(b"\x00\xff" * 99))),
    "a proxy without TLS behind": (
        Reason.UNREACHABLE,
        proxy(tunnel_to_plain_http),
    ),
    "redirected to another host": (Reason.INVALID_REPLY, to_another_host),
    "redirected from https to http": (Reason.INVALID_REPLY, down_to_http),
}


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
def test_a_defect_of_the_program_does_not_show_the_key(
    fire: Field, started: Started, state: Path, defect: str
) -> None:
    config = fire.configure(base_url=fire.peer(reply(json.dumps(FIGURES))))
    exporter = exporter_of(started, config, state, {}, "-m", "tests.fire.sabotaged", defect)
    eventually(lambda: "poll" in "".join(exporter.lines) or fire.others[0].connections)
    shown = {} if defect in ENDS_BY else pages(exporter)
    exporter.line("Defect|<hidden>")
    if defect in ENDS_BY:
        assert exporter.process.wait(10) == 1
    exporter.end()
    assert_found_nowhere(fire, exporter, state, shown)


def test_a_leak_is_found_in_each_place(fire: Field, started: Started, state: Path) -> None:
    config = fire.configure(base_url=fire.peer(reply(json.dumps(FIGURES))))
    environment = {"LEAK": KEY, "LEAK_TO": fire.other(reply(""))}
    exporter = exporter_of(started, config, state, environment, "-m", "tests.fire.sabotaged", KEY)
    eventually(lambda: exporter.series("sms_"))
    shown = pages(exporter)
    exporter.end()
    evidence = {**shown, **remains(exporter, state), "others": b"\n".join(fire.heard)}
    assert found_in(evidence).keys() == evidence.keys()


@pytest.mark.parametrize("text", [KEY, *PARTS])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_leak_is_found_in_each_encoding(encoding: str, text: str) -> None:
    encoded = ENCODINGS[encoding](text)
    assert f"{encoding} {text}" in found_in({"here": f'before="{encoded}"&behind'.encode()})["here"]
    assert found_in({"here": b"".join(bytes([byte]) + b"_" for byte in encoded.encode())}) == {}


def test_good_figures_show_neither_the_key_nor_the_person(fire: Field, started: Started, state: Path) -> None:
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


UNUSABLE = {
    "no YAML": f'api_key: "{KEY}',
    "no quotes": f"api_key: {{{KEY}",
    "an unknown key": json.dumps({KEY: 1}),
    "a key twice": f"{json.dumps(KEY)}: 1\n{json.dumps(KEY)}: 1\n",
    "white space": json.dumps({"api_key": f"{KEY} {KEY}"}),
    "a list": json.dumps({"api_key": [KEY]}),
    "the key as its file": json.dumps({"api_key_file": KEY}),
    "the key as a path": json.dumps({"api_key_file": f"/{KEY}"}),
    "the key in the URL": json.dumps({"api_key": KEY, "base_url": f"https://x:{KEY}@api.example/"}),
    "the key in the query": json.dumps({"api_key": KEY, "base_url": f"https://api.example/?{quote(KEY)}"}),
    "the key as an interval": json.dumps({"api_key": KEY, "poll_interval": KEY}),
    "the key as a range": json.dumps({"api_key": KEY, "statistics": {"from": KEY}}),
    "the key as an account": json.dumps({"accounts": [KEY]}),
}


def test_a_configuration_that_cannot_be_used_does_not_show_the_key(
    fire: Field, started: Started, state: Path
) -> None:
    config = fire.configure(base_url=fire.peer(reply(json.dumps(FIGURES))))
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
    "complete": (reply(json.dumps(FIGURES)), EXPORTER, "backfill complete"),
    "rejected": (refusal(10, message=ECHO), EXPORTER, "key_rejected"),
    "limited": (reply(ECHO, "429 No"), EXPORTER, "rate_limited"),
    "no JSON": (reply(ECHO), EXPORTER, "not JSON"),
    "closed": (read_then(send()), EXPORTER, "closed without a reply"),
    "a defect": (hang, ("-m", "tests.fire.sabotaged", "asking for a month"), "Defect at"),
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
