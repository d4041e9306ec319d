"""What the provider may send, documented and not, and what is made of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.api.envelope import RawReply
from exporter.api.replies import parse_credits, parse_statistics
from exporter.model import Credits, Failure, MonthFigures, Reason
from exporter.secret import Secret
from tests.support.bodies import OCTOBER, me, october, statistics

DATA = Path(__file__).parents[1] / "data"
KEY = "S3CR+T/9f8e7d6c5b4a"
Parse = Callable[[RawReply], object]


def credits_of(raw: RawReply) -> Credits:
    return parse_credits(raw, lambda _: None)


BOTH = pytest.mark.parametrize("parse", [parse_statistics, credits_of])


def refused(parse: Parse, body: bytes, status: int = 200, retry_after: float | None = None) -> Failure:
    with pytest.raises(Failure) as caught:
        parse(RawReply(status, body, retry_after))
    failure = caught.value
    assert failure.detail.isprintable()
    assert KEY not in str(failure)
    return failure


# --- what is documented


def test_the_documented_statistics() -> None:
    assert parse_statistics(RawReply(200, (DATA / "cost-resume.json").read_bytes())) == {
        "2021-10": MonthFigures(49.174, 1210),
        "2021-11": MonthFigures(67.674, 1409),
    }


def test_the_documented_credits() -> None:
    reply = credits_of(RawReply(200, (DATA / "me.json").read_bytes()))
    assert reply == Credits(10225.119, "EUR", {"sms": 269082, "sms_eco": 444570, "hlr": 2045023}, 0)


def test_the_older_shape_of_the_credits() -> None:
    reply = credits_of(RawReply(200, (DATA / "me-2018.json").read_bytes()))
    assert reply == Credits(0.9, "EUR", {"sms": 20, "sms_eco": 37, "hlr": 180}, 0)


@BOTH
def test_the_documented_error(parse: Parse) -> None:
    failure = refused(parse, (DATA / "error.json").read_bytes())
    assert (failure.reason, failure.detail) == (Reason.KEY_REJECTED, "code 10: Incorrect API Key")


@pytest.mark.parametrize("sample", ["me.json", "me-2018.json"])
def test_whom_the_account_belongs_to_is_not_taken(sample: str) -> None:
    content = (DATA / sample).read_text()
    shown = repr(credits_of(RawReply(200, content.encode())))
    refusal = refused(credits_of, content.replace('"balance":', '"balance": [],"x":').encode())
    for personal in json.loads(content)["user"].values():
        assert personal not in shown + str(refusal)


# --- which failure it is


@BOTH
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, Reason.KEY_REJECTED),
        (10, Reason.KEY_REJECTED),
        (20, Reason.ACCESS_DENIED),
        (30, Reason.ACCESS_DENIED),
        (40, Reason.ACCESS_DENIED),
        (96, Reason.ACCESS_DENIED),
        (429, Reason.RATE_LIMITED),
        (9, Reason.SERVER_ERROR),
        (0, Reason.SERVER_ERROR),
        (-1, Reason.SERVER_ERROR),
        (500, Reason.SERVER_ERROR),
        (123456789, Reason.SERVER_ERROR),
    ],
)
def test_the_code_decides_whatever_the_status(parse: Parse, status: int, code: int, reason: Reason) -> None:
    for written in (code, float(code), *([str(code)] if code >= 0 else [])):
        body = json.dumps({"success": False, "code": written, "message": "Désolé"}).encode()
        failure = refused(parse, body, status)
        assert (failure.reason, failure.detail) == (reason, f"code {code}: Désolé")


@BOTH
@pytest.mark.parametrize(
    "body", [b"<html><h1>No</h1></html>", b"blocked", b"[]", b'{"success": 3}', b'{"message": "No"}', b"\xff"]
)
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.INVALID_REPLY),
        (401, Reason.INVALID_REPLY),
        (403, Reason.INVALID_REPLY),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
        (599, Reason.SERVER_ERROR),
    ],
)
def test_a_body_that_is_not_the_apis_blames_neither_key_nor_account(
    parse: Parse, body: bytes, status: int, reason: Reason
) -> None:
    failure = refused(parse, body, status)
    assert failure.reason is reason
    assert status == 200 or f"HTTP {status}" in failure.detail


@BOTH
@pytest.mark.parametrize("body", [b"", b" \r\n", b'{"success": false, "message": "No"}'])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.KEY_REJECTED),
        (403, Reason.ACCESS_DENIED),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
    ],
)
def test_under_an_empty_body_or_json_without_a_code_the_status_decides(
    parse: Parse, body: bytes, status: int, reason: Reason
) -> None:
    failure = refused(parse, body, status)
    assert failure.reason is reason
    assert failure.detail.startswith(f"HTTP {status}")


@BOTH
@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_page_in_place_of_json_names_its_status(parse: Parse, status: int) -> None:
    failure = refused(parse, b"<html>", status)
    assert failure.reason is Reason.INVALID_REPLY
    assert failure.detail.startswith(f"HTTP {status}, and the reply is not JSON")


def test_good_figures_under_a_bad_status_are_not_taken() -> None:
    assert refused(parse_statistics, october(), 500).reason is Reason.SERVER_ERROR
    assert refused(parse_statistics, october(), 429).reason is Reason.RATE_LIMITED
    assert refused(parse_statistics, october(), 404).reason is Reason.SERVER_ERROR


def test_field_errors() -> None:
    body = {
        "success": False,
        "code": 9,
        "error": [{"elementId": "children[from].data", "message": "Non valide."}],
    }
    failure = refused(parse_statistics, json.dumps(body).encode())
    assert failure.reason is Reason.SERVER_ERROR
    assert "children[from].data" in failure.detail
    assert "Non valide." in failure.detail


def test_success_may_be_false_without_any_code() -> None:
    failure = refused(parse_statistics, b'{"success": false, "message": "Panne"}')
    assert (failure.reason, failure.detail) == (
        Reason.SERVER_ERROR,
        "success is false, without a code: Panne",
    )


def test_how_long_to_wait_is_passed_on_where_the_limit_was_hit() -> None:
    assert refused(parse_statistics, b'{"success": false, "code": 429}', 200, 90).retry_after == 90
    assert refused(parse_statistics, b"", 429, 90).retry_after == 90
    assert refused(parse_statistics, b"", 429).retry_after is None
    assert refused(parse_statistics, b"", 503, 90).retry_after is None


@pytest.mark.parametrize("name", ["message", "error"])
@pytest.mark.parametrize(
    "text",
    [
        f"no such key: {KEY}",
        f"see https://api.example/v1/me?apiKey={KEY.replace('+', '%2B').replace('/', '%2F')}",
        "line\nbreak\r\u2028\x1b[31m\x00\ud800",
        "x" * 100_000,
        "x" * 118 + KEY,
    ],
)
def test_what_the_provider_says_is_made_safe(name: str, text: str) -> None:
    secret = Secret(KEY)
    said = text if name == "message" else [{"message": text}]
    failure = refused(parse_statistics, json.dumps({"success": False, "code": 10, name: said}).encode())
    assert failure.reason is Reason.KEY_REJECTED
    assert secret.reveal()[:6] not in failure.detail
    assert len(failure.detail) < 150


def test_a_message_may_be_nested_to_any_depth() -> None:
    for depth in (*range(1, 1100), 100_000):
        body = b'{"success": false, "code": 10, "message": ' + b"[" * depth + b"]" * depth + b"}"
        assert refused(parse_statistics, body).reason in {Reason.KEY_REJECTED, Reason.INVALID_REPLY}


# --- what is unusual, and no reason to refuse


def test_months_come_in_any_order_and_leave_sorted() -> None:
    datas = [OCTOBER | {"year": year, "m": m} for year, m in [(2022, 1), (2021, 12), (2021, 9)]]
    assert list(parse_statistics(RawReply(200, statistics(*datas)))) == ["2021-09", "2021-12", "2022-01"]


def test_days_are_summed_to_their_months_exactly() -> None:
    days = [OCTOBER | {"type": "day", "cost": "0.1", "nb_send": "1"} for _ in range(31)]
    days += [OCTOBER | {"type": "day", "m": "11", "cost": "0", "nb_send": "0"}]
    assert parse_statistics(RawReply(200, statistics(*days))) == {
        "2021-10": MonthFigures(3.1, 31),
        "2021-11": MonthFigures(0, 0),
    }


@pytest.mark.parametrize(("first", "last"), [("2021-11", None), (None, "2021-09"), ("2021-11", "2021-12")])
def test_months_that_were_not_asked_for_spoil_the_reply(first: str | None, last: str | None) -> None:
    with pytest.raises(Failure, match=r"datas\[0\]: 2021-10 was not asked for"):
        parse_statistics(RawReply(200, october()), first, last)
    assert parse_statistics(RawReply(200, october()), "2021-10", "2021-10").keys() == {"2021-10"}


def test_a_month_whose_entries_all_come_without_figures_is_unknown() -> None:
    empty = OCTOBER | {"cost": None, "nb_send": ""}
    assert parse_statistics(RawReply(200, statistics(empty))) == {"2021-10": None}
    day = OCTOBER | {"type": "day"}
    assert parse_statistics(RawReply(200, statistics(day, empty | {"type": "day"}, day))) == {
        "2021-10": MonthFigures(98.348, 2420)
    }


def test_each_odd_field_of_the_credits_is_told() -> None:
    told: list[str] = []
    odd = me(currency="€", creditSms=0.5, creditSmsECO=True, creditHlr="many", toSend=-1)
    assert parse_credits(RawReply(200, odd), told.append) == Credits(0.9, None, {}, None)
    assert told == [
        "credits.currency: expected an ISO 4217 code such as EUR",
        "credits.creditSms: expected a whole number",
        "credits.creditSmsECO: expected a whole number",
        "credits.creditHlr: expected a whole number",
        "credits.toSend: expected a whole number that is not negative",
    ]
