"""What the list of sub-accounts may look like, and what is made of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.api.envelope import RawReply
from exporter.api.subaccounts import parse_subaccounts
from exporter.model import Credits, Failure, Reason, Subaccount, SubaccountPage
from exporter.secret import HIDDEN, Secret, redact

SAMPLE = (Path(__file__).parents[1] / "data" / "subaccount-list.json").read_bytes()


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "email": "someone@example.com",
        "type": "simple",
        "token": "token-of-7-0123456789",
        "apiKey": "key-of-7-0123456789",
        "createdAt": "2016-03-04 11:23:14",
        "credits": {"balance": "0.800", "currency": "EUR"},
        **changes,
    }


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in entry().items() if field != name}


def listing(*entries: object, **changes: Any) -> bytes:
    reply = {"success": True, "code": 200, "total": len(entries), "nb_per_page": 20, "page": 1}
    return json.dumps({**reply, "data": list(entries), **changes}).encode()


def parsed(body: bytes, page: int = 1) -> SubaccountPage:
    return parse_subaccounts(RawReply(200, body), page)


def refused(body: bytes, status: int = 200) -> Failure:
    with pytest.raises(Failure) as caught:
        parse_subaccounts(RawReply(status, body), 1)
    return caught.value


def test_the_documented_sample() -> None:
    assert parsed(SAMPLE) == SubaccountPage(
        total=29,
        subaccounts=(
            Subaccount(1, Secret("key-of-the-first-sub-account"), Credits(0.8, "EUR", {}, None)),
            Subaccount(2, Secret("key-of-the-second-sub-account"), Credits(10.245, "EUR", {}, None)),
        ),
    )


@pytest.mark.parametrize(
    "body",
    [
        listing(),
        listing(total=0),
        b'{"success": true, "data": []}',
    ],
)
def test_a_list_without_entries_is_an_empty_page(body: bytes) -> None:
    assert parsed(body) == SubaccountPage(total=0, subaccounts=())


@pytest.mark.parametrize("body", [listing(data=None, total=None), b'{"success": true, "code": 200}'])
def test_a_reply_without_a_list_names_no_total(body: bytes) -> None:
    assert parsed(body) == SubaccountPage(total=None, subaccounts=())


def test_an_account_without_the_feature_has_no_sub_accounts_and_is_no_failure() -> None:
    body = b'{"success": false, "code": 4, "message": "Not permitted"}'
    for status in (200, 403):
        page = parse_subaccounts(RawReply(status, body), 1)
        assert page == SubaccountPage(total=0, subaccounts=(), permitted=False)


@pytest.mark.parametrize(
    "unusual",
    [
        {"id": "7"},
        {"id": "007"},
        {"credits": {"balance": 0.8, "currency": "EUR"}},
        {"credits": {"solde": "0.800", "currency": "EUR"}},
        {"type": None, "createdAt": None, "token": None, "email": None},
        {"another": {"field": 1}},
    ],
)
def test_an_unusual_entry_is_accepted(unusual: dict[str, Any]) -> None:
    page = parsed(listing(entry(**unusual), total="1", page="1"))
    assert page.subaccounts == (Subaccount(7, Secret("key-of-7-0123456789"), Credits(0.8, "EUR", {}, None)),)


@pytest.mark.parametrize("balance", [None, {}, {"balance": None, "currency": None}])
def test_an_unknown_balance_is_not_zero(balance: object) -> None:
    [subaccount] = parsed(listing(entry(credits=balance))).subaccounts
    assert subaccount.credits == Credits(None, None, {}, None)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (listing(without("id")), "data[0].id: is missing"),
        (listing(entry(id=0)), "data[0].id: expected a whole number above 0"),
        (listing(entry(id=-1)), "data[0].id: expected a whole number above 0"),
        (listing(entry(id=1.5)), "data[0].id: expected a whole number above 0"),
        (listing(entry(id=True)), "data[0].id: expected a whole number above 0"),
        (listing(entry(id="7 ")), "data[0].id: expected a whole number above 0"),
        (listing(entry(id=10**15)), "data[0].id: expected a whole number above 0"),
        (listing(without("apiKey")), "data[0].apiKey: is missing"),
        (listing(entry(apiKey=None)), "data[0].apiKey: expected the key of the sub-account"),
        (listing(entry(apiKey=12345678)), "data[0].apiKey: expected the key of the sub-account"),
        (listing(entry(), entry(id=8, apiKey="")), "data[1].apiKey: is empty"),
        (listing(entry(apiKey="-")), "data[0].apiKey: is shorter than 8 characters"),
        (listing(entry(apiKey="two words")), "data[0].apiKey: contains whitespace"),
        (listing(entry(credits=[])), "data[0].credits: expected the balance of the sub-account"),
        (listing(entry(credits={"balance": "much"})), 'balance: expected a decimal such as "10.245"'),
        (listing("entry"), "data[0]: expected"),
        (listing(data={}), "data: expected a list of sub-accounts"),
        (listing(entry(), total=None), "total: is missing"),
        (listing(entry(), total=-1), "total: expected how many sub-accounts there are"),
        (listing(entry(), total="many"), "total: expected how many sub-accounts there are"),
        (listing(entry(), page=2), "page: 2, but page 1 was asked for"),
        (b"", "the reply is empty"),
        (listing(entry())[:-20], "the reply is not JSON"),
        (b'{"total": 0, "data": []}', "success: is missing"),
    ],
)
def test_a_list_with_anything_wrong_is_refused_whole(body: bytes, detail: str) -> None:
    failure = refused(body)
    assert failure.reason is Reason.INVALID_REPLY
    assert detail in failure.detail
    for private in ("key-of-7", "token-of-7", "someone@example.com", "two words", "12345678"):
        assert private not in str(failure)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b'{"success": false, "code": 10}', 200, Reason.KEY_REJECTED),
        (b'{"success": false, "code": 40}', 403, Reason.ACCESS_DENIED),
        (b'{"success": false, "code": 429}', 429, Reason.RATE_LIMITED),
        (b'{"success": false, "code": 99}', 200, Reason.SERVER_ERROR),
        (b"", 500, Reason.SERVER_ERROR),
    ],
)
def test_errors_have_the_same_reasons_as_everywhere(body: bytes, status: int, reason: Reason) -> None:
    assert refused(body, status).reason is reason


@pytest.mark.parametrize("kept", [None, -20])
def test_keys_and_tokens_are_redacted_as_soon_as_the_bytes_arrive(kept: int | None) -> None:
    number = 11 if kept is None else 12
    secrets = f"key-of-{number}-0123456789", f"token-of-{number}-0123456789"
    body = listing(entry(apiKey=secrets[0], token=secrets[1]))[:kept]
    with pytest.raises(Failure):
        parse_subaccounts(RawReply(500, body), 1)
    for secret in secrets:
        assert redact(f"seen: {secret}") == f"seen: {HIDDEN}"


def test_an_error_that_quotes_a_key_of_the_list_is_redacted() -> None:
    body = {
        "success": False,
        "code": 9,
        "error": [{"apiKey": "key-of-13-0123456789", "message": "key-of-13-0123456789"}],
    }
    assert "key-of-13" not in refused(json.dumps(body).encode()).detail


def test_a_page_shows_no_key_when_it_is_printed() -> None:
    assert "key-of-7" not in repr(parsed(listing(entry())))
