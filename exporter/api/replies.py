"""The provider's replies: bytes in, figures out, or a Failure that says what is wrong. Pure.

A reply is taken whole or not at all. What is merely unusual is accepted: numbers for numeric strings, ``"9"`` for
``"09"``, fields and granularities nobody documented, missing fields that are not used.
"""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from exporter.api.envelope import RawReply, invalid_reply, parse_fields, successful_reply
from exporter.model import Credits, MonthFigures

_EXPECTED = {
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


class CreditsFields(Struct):
    """The fields of ``credits`` in the replies that have it."""

    balance: _SignedAmount | None = None
    solde: _SignedAmount | None = None
    currency: _Currency | None = None
    credit_sms: _SignedCount | None = msgspec.field(default=None, name="creditSms")
    credit_sms_eco: _SignedCount | None = msgspec.field(default=None, name="creditSmsECO")
    credit_sms_low_cost: _SignedCount | None = msgspec.field(default=None, name="creditSmsLowCost")
    credit_hlr: _SignedCount | None = msgspec.field(default=None, name="creditHlr")
    to_send: _Count | None = msgspec.field(default=None, name="toSend")

    @property
    def known_balance(self) -> float | None:
        """``balance``, or ``solde``, its French name; None if there is neither."""
        balance = self.balance if self.balance is not None else self.solde
        return None if balance is None else float(balance)


class _CreditsReply(Struct):
    credits: CreditsFields


def parse_statistics(
    raw: RawReply, first: str | None = None, last: str | None = None
) -> dict[str, MonthFigures]:
    """Parse a reply of ``/statistics/cost-resume`` into figures by month, ``YYYY-MM``.

    Entries finer than a month are summed. `first` and `last` are the months that were asked for, where they are known.
    Raises Failure.
    """
    reply = parse_fields(successful_reply(raw), _StatisticsReply, _EXPECTED)
    periods: dict[str, list[_Period]] = {}
    whole: set[str] = set()
    for index, period in enumerate(reply.datas):
        if (first and period.month < first) or (last and period.month > last):
            raise invalid_reply(f"datas[{index}]: {period.month} was not asked for")
        is_whole = period.type in {"month", None}
        if period.month in whole or (is_whole and period.month in periods):
            raise invalid_reply(f"datas[{index}]: {period.month} is there twice")
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
    reply = parse_fields(successful_reply(raw), _CreditsReply, _EXPECTED).credits
    balance = reply.known_balance
    eco = reply.credit_sms_eco if reply.credit_sms_eco is not None else reply.credit_sms_low_cost
    kinds = {"sms": reply.credit_sms, "sms_eco": eco, "hlr": reply.credit_hlr}
    if balance is None and not any(count is not None for count in kinds.values()):
        raise invalid_reply("credits: neither balance nor solde nor any creditSms, creditSmsECO, creditHlr")
    return Credits(
        balance=balance,
        currency=reply.currency,
        remaining={kind: int(count) for kind, count in kinds.items() if count is not None},
        queued=None if reply.to_send is None else int(reply.to_send),
    )
