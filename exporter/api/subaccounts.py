"""The reply of ``/subaccount/list``: one page of an account's sub-accounts. Pure.

The reply holds secrets: each sub-account's key and its token. The redaction knows both before the
reply is parsed. Emails are not even read.
"""

import re
from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from exporter.api.envelope import RawReply, invalid_reply, parse_fields, successful_reply
from exporter.api.replies import CreditsFields
from exporter.model import Credits, Failure, Subaccount, SubaccountPage
from exporter.secret import Secret, received_key

_NOT_PERMITTED = 4
_SECRET = re.compile(rb'"(?:apiKey|token)"\s*:\s*"([^"\\]{8,200})"')
_EXPECTED = {
    "total": "how many sub-accounts there are, a whole number",
    "page": "the number of the page",
    "data": "a list of sub-accounts",
    "id": "a whole number above 0",
    "apiKey": "the key of the sub-account",
    "credits": "the balance of the sub-account",
    "balance": 'a decimal such as "10.245"',
}

_Number = Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")] | Annotated[int, Meta(ge=0, lt=10**9)]
_Id = Annotated[str, Meta(pattern=r"^0*[1-9][0-9]{0,14}\Z")] | Annotated[int, Meta(gt=0, lt=10**15)]


class _Entry(Struct):
    id: _Id
    api_key: str = msgspec.field(name="apiKey")
    credits: CreditsFields | None = None


class _Page(Struct):
    total: _Number | None = None
    page: _Number | None = None
    data: list[_Entry] | None = None


def parse_subaccounts(raw: RawReply, page: int) -> SubaccountPage:
    """Parse the reply for page number `page`, counted from 1. Raises Failure.

    An account without the feature has no sub-accounts: its page is empty, and `permitted` is false.
    """
    _hide_secrets(raw.body)
    try:
        reply = parse_fields(successful_reply(raw), _Page, _EXPECTED)
    except Failure as failure:
        if failure.code == _NOT_PERMITTED:
            return SubaccountPage(total=0, subaccounts=(), permitted=False)
        raise
    entries = reply.data or []
    if reply.page is not None and int(reply.page) != page:
        raise invalid_reply(f"page: {int(reply.page)}, but page {page} was asked for")
    if reply.total is None and entries:
        raise invalid_reply("total: is missing")
    return SubaccountPage(
        total=None if reply.total is None and reply.data is None else int(reply.total or 0),
        subaccounts=tuple(_subaccount(index, entry) for index, entry in enumerate(entries)),
    )


def _hide_secrets(body: bytes) -> None:
    """Let the redaction know every key and token in a reply, whether or not the reply can be parsed."""
    for found in _SECRET.findall(body):
        with suppress(ValueError):  # then it is not a key
            Secret(found.decode("utf-8", "replace"))


def _subaccount(index: int, entry: _Entry) -> Subaccount:
    try:
        key = received_key(entry.api_key)
    except ValueError as error:
        raise invalid_reply(f"data[{index}].apiKey: {error}") from None
    balance = entry.credits.known_balance if entry.credits else None
    currency = entry.credits.known_currency if entry.credits else None
    return Subaccount(int(entry.id), key, Credits(balance, currency, {}, None))
