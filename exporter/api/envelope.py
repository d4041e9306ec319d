"""The envelope of every reply of the provider: HTTP status, JSON, success or an error code. Pure.

If the body is JSON, it decides; otherwise the HTTP status does.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from exporter.model import Failure, Reason
from exporter.secret import redact
from exporter.validation import SchemaError, convert

_T = TypeVar("_T")
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
_REFUSALS = {401, 403}
"""A firewall, a proxy or a login page has these, too: they count if the body is the API's own, or empty."""
_MAX_MESSAGE = 120
_MAX_DIGITS = 30
_EXACT = 1 << 53  # from here on, a float is not every whole number
_EXPECTED = {"success": "true or false", "code": "a number"}


@dataclass(frozen=True)
class RawReply:
    """What came back: HTTP status and body, the seconds that Retry-After asks to wait, and the Date, Unix time."""

    status: int
    body: bytes
    retry_after: float | None = None
    date: float | None = None


class _Envelope(Struct):
    success: bool | None = None
    code: Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")] | int | None = None


def successful_reply(raw: RawReply) -> dict[str, Any]:
    """Return the JSON object of a reply that reports success; raise Failure for every other reply."""
    try:
        reply = _json_object(raw.body)
        envelope = parse_fields(reply, _Envelope, _EXPECTED)
    except Failure as failure:
        if raw.status == 200:
            raise
        if raw.status >= 500 or raw.status == 429 or (raw.status in _REFUSALS and not raw.body.strip()):
            raise _refused(raw, _reason_of_status(raw.status)) from None
        raise invalid_reply(f"HTTP {raw.status}, and {failure.detail}") from None
    if raw.status in _REFUSALS and envelope == _Envelope():
        raise invalid_reply(f"HTTP {raw.status}, and the reply has neither success nor code")
    code = None if envelope.code is None else int(envelope.code)
    if code not in {None, 200}:
        raise _refused(
            raw, _REASON_OF_CODE.get(code, Reason.SERVER_ERROR), f"code {code}{_message(reply)}", code
        )
    if raw.status != 200:
        raise _refused(raw, _reason_of_status(raw.status), f"HTTP {raw.status}{_message(reply)}")
    if envelope.success is None:
        raise invalid_reply("success: is missing")
    if not envelope.success:
        raise _refused(raw, Reason.SERVER_ERROR, f"success is false, without a code{_message(reply)}")
    return reply


def _refused(raw: RawReply, reason: Reason, detail: str = "", code: int | None = None) -> Failure:
    retry_after = raw.retry_after if reason is Reason.RATE_LIMITED else None
    return Failure(reason, detail or f"HTTP {raw.status}", retry_after, code)


def _reason_of_status(status: int) -> Reason:
    return _REASON_OF_STATUS.get(status, Reason.SERVER_ERROR if status >= 400 else Reason.INVALID_REPLY)


def _message(reply: dict[str, Any]) -> str:
    """Return what the provider says of its error: ``message``, or the list of field errors under ``error``."""
    said = reply.get("message") or reply.get("error")
    if not said:
        return ""
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    text = "".join(
        character if character.isprintable() else "?" for character in redact(text)[: _MAX_MESSAGE + 1]
    )
    return f": {text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + '…'}"


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise invalid_reply("the reply is empty")
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_decimal,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise invalid_reply("the reply is not UTF-8") from None
    except json.JSONDecodeError as error:
        if body.lstrip().startswith(b"<"):
            raise invalid_reply("the reply is not JSON but HTML or XML") from None
        raise invalid_reply(f"the reply is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise invalid_reply("the reply is nested too deeply") from None
    except ValueError as error:
        raise invalid_reply(f"the reply is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise invalid_reply("the reply is not a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _refuse_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON numbers")


def _decimal(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number is out of range")
    return int(text)


def parse_fields(value: dict[str, Any], kind: type[_T], expected: Mapping[str, str]) -> _T:
    """Return a JSON object as `kind`. `expected` says, by a field's name, what would be right there. Raises Failure."""
    try:
        return convert(value, kind, expected)
    except SchemaError as error:
        raise invalid_reply(str(error)) from None
    except UnicodeEncodeError:
        raise invalid_reply("the name of a field is not valid Unicode") from None


def invalid_reply(detail: str) -> Failure:
    """Return the failure for a reply that cannot be understood."""
    return Failure(Reason.INVALID_REPLY, detail)
