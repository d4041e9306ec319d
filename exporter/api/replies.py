"""The provider's replies: bytes in, figures out, or a Failure that says what is wrong. Pure.

A reply is taken whole or not at all. What is merely unusual is accepted: numbers for numeric strings, ``"9"`` for
``"09"``, fields and granularities nobody documented, missing fields that are not used.
"""

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from exporter.model import Credits, Failure, MonthFigures, Reason
from exporter.secret import redacted_start
from exporter.validation import SchemaError, convert

_REASON_OF_CODE = {
    1: Reason.KEY_REJECTED,
    10: Reason.KEY_REJECTED,
    20: Reason.ACCESS_DENIED,
    30: Reason.ACCESS_DENIED,
    40: Reason.ACCESS_DENIED,
    96: Reason.ACCESS_DENIED,
    429: Reason.RATE_LIMITED,
}
_REASON_OF_STATUS = {401: Reason.KEY_REJECTED, 403: Reason.ACCESS_DENIED, 429: Reason.RATE_LIMITED}
_MAX_MESSAGE = 120
_MAX_DIGITS = 30
_GZIP = b"\x1f\x8b"
_EXACT = 1 << 53  # from here on, a float is not every whole number
_EXPECTED = {
    "success": "true or false",
    "code": "a number",
    "datas": "a list of periods",
    "year": "a year such as 2021",
    "m": "the number of a month, 01 to 12",
    "cost": 'a decimal that is not negative, such as "49.174"',
    "nb_send": 'a whole number that is not negative, such as "1210"',
    "balance": 'a decimal such as "10225.119"',
    "solde": 'a decimal such as "10225.119"',
    "currency": "an ISO 4217 code such as EUR",
}

# \Z, because $ also matches before a final line break; [0-9], because \d also matches digits of other scripts.
_Year = Annotated[str, Meta(pattern=r"^20[0-9]{2}\Z")] | Annotated[int, Meta(ge=2000, le=2099)]
_MonthNumber = Annotated[str, Meta(pattern=r"^(0?[1-9]|1[0-2])\Z")] | Annotated[int, Meta(ge=1, le=12)]
_Count = Annotated[str, Meta(pattern=r"^[0-9]{1,15}\Z")] | Annotated[int, Meta(ge=0, lt=10**15)]
_SignedCount = (
    Annotated[str, Meta(pattern=r"^-?[0-9]{1,15}\Z")] | Annotated[int, Meta(gt=-(10**15), lt=10**15)]
)
_Amount = (
    Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?\Z")]
    | Annotated[int, Meta(ge=0, lt=10**12)]
    | Annotated[float, Meta(ge=0, lt=10**12)]
)
_SignedAmount = (
    Annotated[str, Meta(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,12})?\Z")]
    | Annotated[int, Meta(gt=-(10**12), lt=10**12)]
    | Annotated[float, Meta(gt=-(10**12), lt=10**12)]
)
_Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


@dataclass(frozen=True)
class RawReply:
    """What came back: HTTP status and body, the seconds that Retry-After asks to wait, and the Date, Unix time."""

    status: int
    body: bytes
    retry_after: float | None = None
    date: float | None = None


class _Period(Struct):
    year: _Year
    m: _MonthNumber
    cost: _Amount
    nb_send: _Count
    type: str | None = "month"

    @property
    def month(self) -> str:
        return f"{int(self.year):04d}-{int(self.m):02d}"


class _StatisticsReply(Struct):
    datas: list[_Period]


class _Credits(Struct):
    balance: _SignedAmount | None = None
    solde: _SignedAmount | None = None
    currency: _Currency | None = None
    credit_sms: _SignedCount | None = msgspec.field(default=None, name="creditSms")
    credit_sms_eco: _SignedCount | None = msgspec.field(default=None, name="creditSmsECO")
    credit_sms_low_cost: _SignedCount | None = msgspec.field(default=None, name="creditSmsLowCost")
    credit_hlr: _SignedCount | None = msgspec.field(default=None, name="creditHlr")
    to_send: _Count | None = msgspec.field(default=None, name="toSend")


class _CreditsReply(Struct):
    credits: _Credits


class _Envelope(Struct):
    success: bool | None = None
    code: Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")] | int | None = None


def parse_statistics(
    raw: RawReply, first: str | None = None, last: str | None = None
) -> dict[str, MonthFigures]:
    """Parse a reply of ``/statistics/cost-resume`` into figures by month, ``YYYY-MM``.

    Entries finer than a month are summed. `first` and `last` are the months that were asked for, where they are known.
    Raises Failure.
    """
    reply = _typed(_success(raw), _StatisticsReply)
    periods: dict[str, list[_Period]] = {}
    whole: set[str] = set()
    for index, period in enumerate(reply.datas):
        if (first and period.month < first) or (last and period.month > last):
            raise _invalid(f"datas[{index}]: {period.month} was not asked for")
        is_whole = period.type in {"month", None}
        if period.month in whole or (is_whole and period.month in periods):
            raise _invalid(f"datas[{index}]: {period.month} is there twice")
        periods.setdefault(period.month, []).append(period)
        if is_whole:
            whole.add(period.month)
    return {
        month: MonthFigures(
            cost=float(sum(Decimal(str(period.cost)) for period in entries)),
            sent=sum(int(period.nb_send) for period in entries),
        )
        for month, entries in sorted(periods.items())
    }


def parse_credits(raw: RawReply) -> Credits:
    """Parse a reply of ``/me``, in its present and its older shape. Whom the account belongs to is not even read.

    Raises Failure.
    """
    reply = _typed(_success(raw), _CreditsReply).credits
    balance = reply.balance if reply.balance is not None else reply.solde
    eco = reply.credit_sms_eco if reply.credit_sms_eco is not None else reply.credit_sms_low_cost
    kinds = {"sms": reply.credit_sms, "sms_eco": eco, "hlr": reply.credit_hlr}
    if balance is None and not any(count is not None for count in kinds.values()):
        raise _invalid("credits: neither balance nor solde nor any creditSms, creditSmsECO, creditHlr")
    return Credits(
        balance=None if balance is None else float(balance),
        currency=reply.currency,
        remaining={kind: int(count) for kind, count in kinds.items() if count is not None},
        queued=None if reply.to_send is None else int(reply.to_send),
    )


def _success(raw: RawReply) -> dict[str, Any]:
    """Return the JSON object of a reply that reports success; raise Failure for every other reply."""
    try:
        reply = _json_object(raw.body)
        envelope = _typed(reply, _Envelope)
    except Failure as failure:
        if raw.status == 200:
            raise
        if raw.status >= 500 or raw.status in _REASON_OF_STATUS:
            raise _refused(raw, _reason_of_status(raw.status)) from None
        raise _invalid(f"HTTP {raw.status}, and {failure.detail}") from None
    code = None if envelope.code is None else int(envelope.code)
    if code not in {None, 200}:
        raise _refused(raw, _REASON_OF_CODE.get(code, Reason.SERVER_ERROR), f"code {code}{_message(reply)}")
    if raw.status != 200:
        raise _refused(raw, _reason_of_status(raw.status), f"HTTP {raw.status}{_message(reply)}")
    if envelope.success is None:
        raise _invalid("success: is missing")
    if not envelope.success:
        raise _refused(raw, Reason.SERVER_ERROR, f"success is false, without a code{_message(reply)}")
    return reply


def _refused(raw: RawReply, reason: Reason, detail: str = "") -> Failure:
    retry_after = raw.retry_after if reason is Reason.RATE_LIMITED else None
    return Failure(reason, detail or f"HTTP {raw.status}", retry_after)


def _reason_of_status(status: int) -> Reason:
    return _REASON_OF_STATUS.get(status, Reason.SERVER_ERROR if status >= 400 else Reason.INVALID_REPLY)


def _message(reply: dict[str, Any]) -> str:
    """Return what the provider says of its error: ``message``, or the list of field errors under ``error``."""
    said = reply.get("message") or reply.get("error")
    if not said:
        return ""
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    text = "".join(
        character if character.isprintable() else "?" for character in redacted_start(text, _MAX_MESSAGE + 1)
    )
    return f": {text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + '…'}"


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise _invalid("the reply is empty")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_decimal,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        is_packed = body.startswith(_GZIP)
        raise _invalid(
            f"the reply is {'compressed, which was not asked for' if is_packed else 'not UTF-8'}"
        ) from None
    except json.JSONDecodeError as error:
        if body.lstrip().startswith(b"<"):
            raise _invalid("the reply is not JSON but HTML or XML") from None
        raise _invalid(f"the reply is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _invalid("the reply is nested too deeply") from None
    except ValueError as error:
        raise _invalid(f"the reply is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _invalid("the reply is not a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return result


def _refuse_constant(_name: str) -> None:
    raise ValueError("NaN or Infinity is no number of JSON")


def _decimal(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number is out of range")
    return int(text)


_T = TypeVar("_T")


def _typed(value: dict[str, Any], kind: type[_T]) -> _T:
    try:
        return convert(value, kind, _EXPECTED)
    except SchemaError as error:
        raise _invalid(str(error)) from None
    except UnicodeEncodeError:
        raise _invalid("the name of a field is not valid Unicode") from None


def _invalid(detail: str) -> Failure:
    return Failure(Reason.INVALID_REPLY, detail)
