"""Bodies that spoil a reply with the status 200, and what the log says of each. The reason is `invalid_reply`."""

import gzip
import json
from pathlib import Path

from tests.support.bodies import OCTOBER, me, october, october_with_raw, october_without, statistics

DATA = Path(__file__).parent.parent / "data"

YEAR = "datas[0].year: expected a year such as 2021"
M = "datas[0].m: expected the number of a month"
COST = "datas[0].cost: expected a decimal such as"
SENT = "datas[0].nb_send: expected a whole number that is not negative"

STATISTICS = {
    "empty": (b"", "the reply is empty"),
    "white space": (b" \r\n ", "the reply is empty"),
    "truncated": (october()[:-20], "not JSON"),
    "the documented sample with its trailing comma": (
        (DATA / "cost-resume.json").read_bytes().replace(b"}\n  ]", b"},\n  ]"), "not JSON"),
    "two replies": (october() * 2, "not JSON"),
    "UTF-16": (october().decode().encode("utf-16"), "not UTF-8"),
    "latin-1": ('{"success": true, "datas": [], "x": "é"}'.encode("latin-1"), "not UTF-8"),
    "a damaged gzip": (gzip.compress(october())[:-1], "not UTF-8"),
    "two gzips": (gzip.compress(october()) * 2, "not UTF-8"),
    "a gzip of a gzip": (gzip.compress(gzip.compress(october())), "not UTF-8"),
    "gzip bomb": (gzip.compress(bytes(64 << 20)), "the reply is larger than 512 KiB"),
    "gzip a byte too large": (gzip.compress(october().ljust((512 << 10) + 1)), "the reply is larger than 512 KiB"),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + october(), "not JSON"),
    "HTML": (b"<!DOCTYPE html><title>Maintenance</title>", "the reply is not JSON but HTML"),
    "single quotes": (b"{'success': true}", "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "a string": (b'"no"', "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "NaN": (october_with_raw("cost", "NaN"), "NaN"),
    "Infinity": (october_with_raw("cost", "Infinity"), "Infinity"),
    "-Infinity": (october_with_raw("cost", "-Infinity"), "Infinity"),
    "1e999": (october_with_raw("cost", "1e999"), "a number is out of range"),
    "NaN in a field nobody reads": (october_with_raw("date", "NaN"), "NaN"),
    "400 digits": (october_with_raw("nb_send", "9" * 400), "a number is out of range"),
    "5000 digits": (october_with_raw("nb_send", "9" * 5000), "a number is out of range"),
    "400 digits in a string": (october(nb_send="9" * 400), SENT),
    "nested lists": (b"[" * 100_000, "nested too deeply"),
    "nested objects": (b'{"a":' * 100_000, "nested too deeply"),
    "nested in a field nobody reads": (
        b'{"success": true, "datas": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "two million entries": (
        b'{"success": true, "datas": [' + b"{}," * 2_000_000 + b"{}]}", "the reply is larger than 512 KiB"),
    "as many entries as fit": (
        b'{"success": true, "datas": [' + b"{}," * 170_000 + b"{}]}", "datas[0].year: is missing"),
    "as many objects as fit in a field nobody reads": (
        b'{"success": true, "datas": [1], "x": [' + b'{"": {}},' * 55_000 + b"{}]}", "datas[0]"),
    "success missing": (json.dumps({"datas": [OCTOBER]}).encode(), "success: is missing"),
    "success null": (b'{"success": null, "datas": []}', "success: is missing"),
    "success as text": (b'{"success": "true", "datas": []}', "success: expected true or false"),
    "success as a number": (b'{"success": 1, "datas": []}', "success: expected true or false"),
    "code as text": (b'{"success": true, "code": "fine", "datas": []}', "code: expected a number"),
    "code as a list": (b'{"success": true, "code": [], "datas": []}', "code: expected a number"),
    "code out of range": (b'{"success": true, "code": 1e+244, "datas": []}', "code: expected a number"),
    "code true": (b'{"success": true, "code": true, "datas": []}', "code: expected a number"),
    "datas missing": (b'{"success": true}', "datas: is missing"),
    "datas null": (b'{"success": true, "datas": null}', "datas: expected a list of periods"),
    "datas an object": (b'{"success": true, "datas": {"0": {}}}', "datas: expected a list of periods"),
    "datas of numbers": (statistics(1), "datas[0]"),
    "datas of lists": (statistics([]), "datas[0]"),
    "datas of null": (statistics(None), "datas[0]"),
    "year missing": (october_without("year"), "datas[0].year: is missing"),
    "m missing": (october_without("m"), "datas[0].m: is missing"),
    "cost missing": (october_without("cost"), "datas[0].cost: is missing"),
    "nb_send missing": (october_without("nb_send"), "datas[0].nb_send: is missing"),
    "year null": (october(year=None), YEAR),
    "year too early": (october(year="1999"), YEAR),
    "year too late": (october(year=2100), YEAR),
    "year with two digits": (october(year="21"), YEAR),
    "year with a label in it": (october(year='2021"} 1\nevil{x="'), YEAR),
    "year with a line break": (october(year="2021\n"), YEAR),
    "year with a space": (october(year=" 2021"), YEAR),
    "year in full-width digits": (october(year="\uff12\uff10\uff12\uff11"), YEAR),
    "year with half a character": (october(year="202\ud800"), YEAR),
    "month 0": (october(m="0"), M),
    "month 00": (october(m="00"), M),
    "month 13": (october(m=13), M),
    "month -1": (october(m=-1), M),
    "month 9.5": (october(m=9.5), M),
    "month in Arabic digits": (october(m="٣"), M),
    "month by name": (october(m="october"), M),
    "month true": (october(m=True), M),
    "month null": (october(m=None), M),
    "month list": (october(m=["10"]), M),
    "French cost": (october(cost="1 234,50"), COST),
    "English cost": (october(cost="1,234.50"), COST),
    "cost with currency": (october(cost="49.174 €"), COST),
    "cost nan in a string": (october(cost="nan"), COST),
    "cost in scientific notation": (october(cost="1e3"), COST),
    "cost with underscore": (october(cost="1_0"), COST),
    "cost empty": (october(cost=""), COST),
    "cost null": (october(cost=None), COST),
    "cost null beside nb_send 0": (october(cost=None, nb_send=0), COST),
    "cost of two signs": (october(cost="--1"), COST),
    "cost without digits": (october(cost="-"), COST),
    "cost that ends in a point": (october(cost="1."), COST),
    "cost of thirteen digits": (october(cost="1234567890123"), COST),
    "cost true": (october(cost=True), COST),
    "cost out of range": (october(cost=1e300), COST),
    "cost object": (october(cost={"EUR": 1}), COST),
    "negative sent": (october(nb_send="-1"), SENT),
    "sent with decimals": (october(nb_send="1210.5"), SENT),
    "sent with decimals as a number": (october(nb_send=1210.5), SENT),
    "sent null": (october(nb_send=None), SENT),
    "sent empty": (october(nb_send=""), SENT),
    "sent false": (october(nb_send=False), SENT),
    "sent out of range": (october(nb_send=10**15), SENT),
    "type a number": (october(type=7), "datas[0].type"),
    "the second of two is bad": (statistics(OCTOBER, OCTOBER | {"m": 11, "cost": "x"}), "datas[1].cost: expected"),
    "a month twice": (statistics(OCTOBER, OCTOBER), "datas[1]: 2021-10 appears twice"),
    "a month twice, written differently": (statistics(OCTOBER, OCTOBER | {"year": 2021}), "2021-10 appears twice"),
    "a month and one of its days": (statistics(OCTOBER, OCTOBER | {"type": "day"}), "2021-10 appears twice"),
    "a month after thousands of its days": (
        statistics(*[{**OCTOBER, "date": 0, "month": 0, "type": "day"}] * 4000, OCTOBER),
        "datas[4000]: 2021-10 appears twice",
    ),
    "a day, then its month": (statistics(OCTOBER | {"type": "day"}, OCTOBER), "2021-10 appears twice"),
    "a key twice": (october().replace(b'"cost"', b'"cost": "1", "cost"'), "an object has the same key twice"),
    "a key twice at the top": (b'{"success": false, "success": true, "datas": []}', "an object has the same key twice"),
    "a key with half a character": (october(**{"\ud800": 1}), "not valid Unicode"),
}  # fmt: skip

BALANCE = 'credits.balance: expected a decimal such as "10225.119"'

CREDITS = {
    "credits missing": (b'{"success": true}', "credits: is missing"),
    "credits null": (b'{"success": true, "credits": null}', "credits"),
    "credits a list": (b'{"success": true, "credits": []}', "credits"),
    "nothing of use": (b'{"success": true, "credits": {}}', "credits: neither balance nor solde"),
    "nothing but a queue": (b'{"success": true, "credits": {"toSend": 3}}', "credits: neither balance"),
    "balance in French": (me(balance="1 234,50"), BALANCE),
    "balance empty": (me(balance=""), BALANCE),
    "balance true": (me(balance=True), BALANCE),
    "balance nan": (me(balance="nan"), BALANCE),
    "balance list": (me(balance=[1]), BALANCE),
    "balance out of range": (me(balance=-1e300), BALANCE),
    "nothing but odd fields": (
        me(balance=None, creditSms="?", creditSmsECO="?", creditHlr="?"),
        "credits: neither balance",
    ),
    "solde spoils a good balance": (me(solde="?"), "credits.solde: expected"),
}
