"""The provider's replies: bytes in, figures out, or a Failure that says what is wrong. Pure.

A reply is taken whole or not at all. What is unusual but can only mean one thing is accepted: numbers for numeric
strings, ``"9"`` for ``"09"``, any number of decimals, refunds, fields and granularities nobody documented, missing
fields that are not used.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

from exporter.api.envelope import RawReply, invalid_reply, parse_fields, successful_reply
from exporter.model import Credits, MonthFigures

_AMOUNT = 'a decimal such as "49.174"'
_SENT = 'a whole number that is not negative, such as "1210"'
_EXPECTED = {
    "datas": "a list of periods",
    "year": "a year such as 2021",
    "m": "the number of a month, 01 to 12",
    "cost": _AMOUNT,
    "nb_send": _SENT,
    "balance": 'a decimal such as "10225.119"',
    "solde": 'a decimal such as "10225.119"',
}

# \Z, because $ also matches before a final line break; [0-9], because \d also matches digits of other scripts.
_Year = Annotated[str, Meta(pattern=r"^20[0-9]{2}\Z")] | Annotated[int, Meta(ge=2000, le=2099)]
_MonthNumber = Annotated[str, Meta(pattern=r"^(0?[1-9]|1[0-2])\Z")] | Annotated[int, Meta(ge=1, le=12)]
_Whole = Annotated[int, Meta(ge=0, lt=10**15)]
_Signed = Annotated[int, Meta(gt=-(10**15), lt=10**15)]
_Money = (
    Annotated[int, Meta(gt=-(10**12), lt=10**12)] | Annotated[float, Meta(gt=-(10**12), lt=10**12)] | None
)
_Balance = Annotated[str, Meta(pattern=r"^-?[0-9]{1,12}(\.[0-9]+)?\Z")] | _Money
_CostOrEmpty = Annotated[str, Meta(pattern=r"^(-?[0-9]{1,12}(\.[0-9]+)?)?\Z")] | _Money
_CountOrEmpty = Annotated[str, Meta(pattern=r"^[0-9]{0,15}\Z")] | _Whole | None

_Count = Annotated[str, Meta(pattern=r"^[0-9]{1,15}\Z")] | _Whole | None
_SignedCount = Annotated[str, Meta(pattern=r"^-?[0-9]{1,15}\Z")] | _Signed | None
_Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] | None


class _Period(Struct):
    year: _Year
    m: _MonthNumber
    cost: _CostOrEmpty
    nb_send: _CountOrEmpty
    type: str | None = "month"

    @property
    def month(self) -> str:
        return f"{int(self.year):04d}-{int(self.m):02d}"


class _StatisticsReply(Struct):
    datas: list[_Period]


class CreditsFields(Struct):
    """The fields of ``credits`` in the replies that have it. Those without a type are checked one by one."""

    balance: _Balance = None
    solde: _Balance = None
    currency: Any = None
    credit_sms: Any = msgspec.field(default=None, name="creditSms")
    credit_sms_eco: Any = msgspec.field(default=None, name="creditSmsECO")
    credit_sms_low_cost: Any = msgspec.field(default=None, name="creditSmsLowCost")
    credit_hlr: Any = msgspec.field(default=None, name="creditHlr")
    to_send: Any = msgspec.field(default=None, name="toSend")

    @property
    def known_balance(self) -> float | None:
        """``balance``, or ``solde``, its French name; None if there is neither."""
        balance = self.balance if self.balance is not None else self.solde
        return None if balance is None else float(balance)

    @property
    def known_currency(self) -> str | None:
        """``currency``; None if there is none, or if it is not a code."""
        return cast(str | None, _valid(self.currency, _Currency))


class _CreditsReply(Struct):
    credits: CreditsFields


def parse_statistics(
    raw: RawReply, first: str | None = None, last: str | None = None
) -> dict[str, MonthFigures | None]:
    """Parse a reply of ``/statistics/cost-resume`` into figures by month, ``YYYY-MM``.

    Entries finer than a month are summed. A month whose entries all come without figures is None: they are unknown,
    not 0. `first` and `last` are the months that were asked for, if they are known. Raises Failure.
    """
    reply = parse_fields(successful_reply(raw), _StatisticsReply, _EXPECTED)
    without_figures = {period.month for period in reply.datas if not _has_figures(period)}
    periods: dict[str, list[_Period]] = {}
    whole: set[str] = set()
    for index, period in _with_figures(reply.datas):
        if (first and period.month < first) or (last and period.month > last):
            raise invalid_reply(f"datas[{index}]: {period.month} was not asked for")
        is_whole = period.type in {"month", None}
        if period.month in whole or (is_whole and period.month in periods):
            raise invalid_reply(f"datas[{index}]: {period.month} appears twice")
        periods.setdefault(period.month, []).append(period)
        if is_whole:
            whole.add(period.month)
    months: dict[str, MonthFigures | None] = dict.fromkeys(without_figures)
    for month, entries in periods.items():
        months[month] = MonthFigures(
            cost=float(sum(Decimal(str(period.cost)) for period in entries)),
            sent=sum(int(period.nb_send or 0) for period in entries),
        )
    return dict(sorted(months.items()))


def _has_figures(period: _Period) -> bool:
    return period.cost not in {None, ""} or period.nb_send not in {None, ""}


def _with_figures(periods: list[_Period]) -> Iterator[tuple[int, _Period]]:
    """Yield the periods that have both figures, with their index. Raises Failure if one has half of them."""
    for index, period in enumerate(periods):
        if not _has_figures(period):
            continue
        if period.cost in {None, ""}:
            raise invalid_reply(f"datas[{index}].cost: expected {_AMOUNT}")
        if period.nb_send in {None, ""}:
            raise invalid_reply(f"datas[{index}].nb_send: expected {_SENT}")
        yield index, period


def parse_credits(raw: RawReply, left_out: Callable[[str], object]) -> Credits:
    """Parse a reply of ``/me``, in its present and its older shape. The account's owner is not read.

    An invalid field is left out, and `left_out` is told which and why. An invalid balance makes the whole reply
    invalid. Raises Failure.
    """
    reply = parse_fields(successful_reply(raw), _CreditsReply, _EXPECTED).credits
    odd: list[str] = []

    def count(name: str, value: Any, kind: Any, expected: str) -> int | None:
        valid = _valid(value, kind)
        if valid is None and value is not None:
            odd.append(f"credits.{name}: expected {expected}")
        return None if valid is None else int(valid)

    if reply.currency is not None and reply.known_currency is None:
        odd.append("credits.currency: expected an ISO 4217 code such as EUR")
    eco_name, eco = "creditSmsECO", reply.credit_sms_eco
    if eco is None:
        eco_name, eco = "creditSmsLowCost", reply.credit_sms_low_cost
    kinds = {
        "sms": count("creditSms", reply.credit_sms, _SignedCount, "a whole number"),
        "sms_eco": count(eco_name, eco, _SignedCount, "a whole number"),
        "hlr": count("creditHlr", reply.credit_hlr, _SignedCount, "a whole number"),
    }
    queued = count("toSend", reply.to_send, _Count, "a whole number that is not negative")
    if reply.known_balance is None and not any(number is not None for number in kinds.values()):
        raise invalid_reply("credits: neither balance nor solde nor any creditSms, creditSmsECO, creditHlr")
    for problem in odd:
        left_out(problem)
    return Credits(
        balance=reply.known_balance,
        currency=reply.known_currency,
        remaining={kind: number for kind, number in kinds.items() if number is not None},
        queued=queued,
    )


def _valid(value: Any, kind: Any) -> Any:
    """Return a value if it is of a kind, else None."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
