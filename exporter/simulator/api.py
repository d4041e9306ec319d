"""The replies of the SMS Partner API, as far as it is documented; what is left open there is an option here.

Pure: from an account, an instant and the query's parameters to a reply.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from http.client import responses
from typing import Any, Literal

from exporter.simulator.history import START, SimulatedAccount, Usage, days, midnight, months, paris

ENDPOINTS = {"/v1/statistics/cost-resume": "statistics", "/v1/me": "credits"}

_MESSAGES = {  # English, French
    1: ("API key is required", "La clé API est obligatoire"),
    10: ("Incorrect API Key", "Clé API incorrecte"),
    20: ("Account disabled", "Compte désactivé"),
    30: ("Account blocked", "Compte bloqué"),
    40: ("Access to the API is denied", "Accès à l'API refusé"),
    96: ("This IP address is not authorised", "Adresse IP non autorisée"),
    429: ("Too many requests", "Trop de requêtes"),
}
_INVALID = ("This value is not valid.", "Cette valeur n'est pas valide.")
_FIELD_ERRORS = 9
_STATUS_4XX = {1: 400, _FIELD_ERRORS: 400, 10: 401, 429: 429}

# strftime would follow the locale.
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_PRICE_ECO, _PRICE_HLR = 23, 5  # thousandths of a euro, as in the provider's sample


@dataclass(frozen=True)
class Options:
    """The limit, and what the API's documentation leaves open."""

    requests_per_minute: int | None = 5
    """In any sliding 60 s, to any path; a request refused for it is not counted. None: no limit."""
    limit_per_key: bool = False
    """Count for each account by itself (all unknown keys together), not for the whole server."""
    retry_after: int | None = None
    """Seconds, sent with a 429."""
    running_month: bool = True
    """`last_twelve_months` ends with the running month; else with the one before. They are 12 either way."""
    custom_granularity: Literal["auto", "day", "month"] = "auto"
    """Of the entries of a custom interval; `auto`: days where it lies within one month, else months."""
    zero_entries: bool = True
    """A day or month without SMS is an entry with zeros; else it is left out."""
    error_status: Literal["mixed", "200", "4xx"] = "mixed"
    """HTTP status of errors; `mixed`: 429 for the limit, 200 for all others."""
    french: bool = False
    """Error messages in French."""


@dataclass(frozen=True)
class SimulatedReply:
    """One HTTP reply; `delivery` says how it is sent, where not as it should be."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delivery: str = "ok"
    pause: float = 0.0
    """Seconds, of the slow deliveries."""


def credits_left(account: SimulatedAccount, instant: float) -> SimulatedReply:
    """The reply of `/v1/me`."""
    balance = account.balance(instant)
    body = {
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
    return json_reply(body)


def statistics(
    account: SimulatedAccount, instant: float, parameters: Mapping[str, str], options: Options
) -> SimulatedReply:
    """The reply of `/v1/statistics/cost-resume`.

    A custom interval counts the days within it only, those to come excepted; an entry of type `month` is
    dated at its month's start even so.
    """
    today = paris(instant).date()
    last_month = today.replace(day=1) - timedelta(days=1)
    by_day = False
    match parameters.get("interval"):
        case "last_month":
            first, last = last_month.replace(day=1), last_month
        case "last_twelve_months":
            last = today if options.running_month else last_month
            first = date(last.year - (last.month < 12), last.month % 12 + 1, 1)
        case "custom":
            asked = {name: _day(parameters.get(name, "")) for name in ("from", "to")}
            first, last = asked["from"] or date.max, asked["to"] or date.min
            if first > last:
                return field_errors([name for name in asked if not asked[name]] or ["to"], options)
            one_month = first.replace(day=1) == last.replace(day=1)
            by_day = (
                one_month if options.custom_granularity == "auto" else options.custom_granularity == "day"
            )
            first, last = max(first, START), min(last, today)
        case _:
            return field_errors(["interval"], options)
    parts = ((day, day) for day in days(first, last)) if by_day else months(first, last)
    used = ((begin, account.usage(begin, end, instant)) for begin, end in parts)
    kept = [each for each in used if each[1].sent or options.zero_entries]
    return json_reply({"success": True, "datas": [_entry(begin, usage, by_day) for begin, usage in kept]})


def error(code: int, options: Options) -> SimulatedReply:
    """A refusal with one of the documented codes."""
    reply = _refusal(code, {"message": _MESSAGES[code][options.french]}, options)
    if code == 429 and options.retry_after is not None:
        return replace(reply, headers=(("Retry-After", str(options.retry_after)),))
    return reply


def field_errors(fields: list[str], options: Options) -> SimulatedReply:
    """A refusal with a list under `error` in place of a message."""
    text = _INVALID[options.french]
    errors = [{"elementId": f"children[{field}].data", "message": text} for field in fields]
    return _refusal(_FIELD_ERRORS, {"error": errors}, options)


def json_reply(body: Mapping[str, Any], status: int = 200) -> SimulatedReply:
    """A reply with a JSON object."""
    return SimulatedReply(status, json.dumps(body).encode())


def page(status: int) -> SimulatedReply:
    """A reply for people, such as proxies and frameworks give by themselves."""
    text = f"<!DOCTYPE html><html><body><h1>{status} {responses[status]}</h1></body></html>"
    return SimulatedReply(status, text.encode(), "text/html; charset=utf-8")


def decimal(thousandths: int) -> str:
    """An amount not below 0, as the API writes it."""
    return f"{thousandths // 1000}.{thousandths % 1000:03}"


def _refusal(code: int, why: Mapping[str, Any], options: Options) -> SimulatedReply:
    status = 429 if code == 429 and options.error_status == "mixed" else 200
    if options.error_status == "4xx":
        status = _STATUS_4XX.get(code, 403)
    return json_reply({"success": False, "code": code, **why}, status)


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
