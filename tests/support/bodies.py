"""Bodies of good replies, and what a test changes of them."""

import json

OCTOBER = {"month": "october", "year": "2021", "m": "10", "date": 1633039200, "type": "month"} | {
    "cost": "49.174",
    "nb_send": "1210",
}
CREDITS = {
    "creditSms": 20,
    "creditSmsECO": 37,
    "creditHlr": 180,
    "toSend": 0,
    "currency": "EUR",
    "balance": "0.9",
}


def statistics(*datas: object) -> bytes:
    return json.dumps({"success": True, "datas": datas}).encode()


def october(**changes: object) -> bytes:
    return statistics(OCTOBER | changes)


def october_without(field: str) -> bytes:
    return statistics({name: value for name, value in OCTOBER.items() if name != field})


def october_with_raw(field: str, raw: str) -> bytes:
    """A reply with JSON text in place of the field's value, as no encoder would write it."""
    return october(**{field: "PLACE"}).replace(b'"PLACE"', raw.encode())


def me(**changes: object) -> bytes:
    return json.dumps({"success": True, "code": 200, "credits": CREDITS | changes}).encode()
