"""The replies of the SMS Partner API, as far as it is documented.

Pure: from an account, an instant and the query's parameters to a reply.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from http.client import responses
from typing import Any

from exporter.simulator.history import START, SimulatedAccount, Usage, days, midnight, months, paris

ENDPOINTS = {
    "/v1/statistics/cost-resume": "statistics",
    "/v1/me": "credits",
    "/v1/subaccount/list": "subaccounts",
}
_PER_PAGE = 20

# strftime would follow the locale.
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_PRICE_ECO, _PRICE_HLR = 23, 5  # thousandths of a euro, as in the provider's sample


_JSON = (("Content-Type", "application/json"),)
_HTML = (("Content-Type", "text/html; charset=utf-8"),)


@dataclass(frozen=True)
class SimulatedReply:
    """One HTTP reply."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = _JSON


def credits_left(account: SimulatedAccount, instant: float) -> dict[str, Any]:
    """Return the reply of `/v1/me`."""
    balance = account.balance(instant)
    return {
        "success": True,
        "code": 200,
        "user": {"username": "camille@example.com", "firstname": "Camille", "lastname": "Exemple"},
        "credits": {
            "creditSms": balance // account.price(paris(instant).date()),
            "creditSmsECO": balance // _PRICE_ECO,
            "creditHlr": balance // _PRICE_HLR,
            "toSend": account.queued(instant),
            "solde": decimal(balance),
            "currency": "EUR",
            "balance": decimal(balance),
        },
    }


def subaccount_list(
    subaccounts: Sequence[SimulatedAccount], instant: float, parameters: Mapping[str, str]
) -> SimulatedReply:
    """Return the reply of `/v1/subaccount/list`: one page. Their ids count from 1."""
    number = parameters.get("page", "1")
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        return _field_errors(["page"])
    first = (int(number) - 1) * _PER_PAGE
    listed = list(enumerate(subaccounts, 1))[first : first + _PER_PAGE]
    return json_reply(
        {
            "success": True,
            "code": 200,
            "total": len(subaccounts),
            "nb_per_page": _PER_PAGE,
            "page": int(number),
            "data": [_subaccount(number, account, instant) for number, account in listed],
        }
    )


def statistics(account: SimulatedAccount, instant: float, parameters: Mapping[str, str]) -> SimulatedReply:
    """Return the reply of `/v1/statistics/cost-resume`.

    A custom interval counts only its own days, without future ones. Its entries are days if it lies within one month,
    otherwise months. An entry of type `month` always has the date of the month's first day.
    """
    today = paris(instant).date()
    by_day = False
    match parameters.get("interval"):
        case "last_month":
            last = today.replace(day=1) - timedelta(days=1)
            first = last.replace(day=1)
        case "last_twelve_months":
            last = today
            first = date(last.year - (last.month < 12), last.month % 12 + 1, 1)
        case "custom":
            asked = {name: _day(parameters.get(name, "")) for name in ("from", "to")}
            first, last = asked["from"] or date.max, asked["to"] or date.min
            if first > last:
                return _field_errors([name for name in asked if not asked[name]] or ["to"])
            by_day = first.replace(day=1) == last.replace(day=1)
            first, last = max(first, START), min(last, today)
        case _:
            return _field_errors(["interval"])
    parts = ((day, day) for day in days(first, last)) if by_day else months(first, last)
    entries = [_entry(begin, account.usage(begin, end, instant), by_day) for begin, end in parts]
    return json_reply({"success": True, "datas": entries})


def refusal(code: int, message: str, status: int = 200) -> SimulatedReply:
    """Return a refusal with one of the documented codes."""
    return json_reply({"success": False, "code": code, "message": message}, status)


def json_reply(body: Mapping[str, Any], status: int = 200) -> SimulatedReply:
    """Return a reply with a JSON object."""
    return SimulatedReply(status, json.dumps(body).encode())


def page(status: int) -> SimulatedReply:
    """Return a reply for people, such as proxies and frameworks give by themselves."""
    text = f"<!DOCTYPE html><html><body><h1>{status} {responses[status]}</h1></body></html>"
    return SimulatedReply(status, text.encode(), _HTML)


def decimal(thousandths: int) -> str:
    """An amount not below 0, as the API writes it."""
    return f"{thousandths // 1000}.{thousandths % 1000:03}"


def _field_errors(fields: list[str]) -> SimulatedReply:
    errors = [
        {"elementId": f"children[{field}].data", "message": "This value is not valid."} for field in fields
    ]
    return json_reply({"success": False, "code": 9, "error": errors})


def _subaccount(number: int, account: SimulatedAccount, instant: float) -> dict[str, Any]:
    return {
        "id": number,
        "email": f"client-{number}@example.com",
        "type": "simple",
        "token": hashlib.sha256(f"token {account.key}".encode()).hexdigest(),
        "apiKey": account.key,
        "createdAt": "2016-03-04 11:23:14",
        "credits": {"balance": decimal(account.balance(instant)), "currency": "EUR"},
    }


def _day(text: str) -> date | None:
    match = re.fullmatch(r"(\d\d)-(\d\d)-(\d{4})", text, re.ASCII)
    try:
        return date(int(match[3]), int(match[2]), int(match[1])) if match else None
    except ValueError:
        return None


def _entry(begin: date, usage: Usage, by_day: bool) -> dict[str, Any]:
    start = begin if by_day else begin.replace(day=1)
    return {
        "month": _MONTHS[start.month - 1],
        "year": str(start.year),
        "m": f"{start:%m}",
        "date": int(midnight(start)),
        "type": "day" if by_day else "month",
        "cost": decimal(usage.cost),
        "nb_send": str(usage.sent),
    }
