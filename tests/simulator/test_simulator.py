"""The simulated API: figures, limit, errors and orders without a network; deliveries and process with one."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator.__main__ import main
from exporter.simulator.api import Options
from exporter.simulator.history import (
    PARIS,
    START,
    TOP_UP,
    TOP_UP_BELOW,
    SimulatedAccount,
    days,
    midnight,
    months,
)
from exporter.simulator.server import SimulatedServer
from exporter.simulator.simulator import ERROR_CODES, MODES, Simulator, most_in_60s, serve

KEY = "S3CR+T/key"
UNLIMITED = Options(requests_per_minute=None)
NOVEMBER = datetime(2021, 11, 20, 15, tzinfo=PARIS).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


def simulated(now: float = NOVEMBER, options: Options = UNLIMITED, *keys: str) -> Simulator:
    return Simulator(keys or None, options=options, now=lambda: now, monotonic=lambda: 0.0)


def target(path: str, **parameters: str) -> str:
    return f"/v1/{path}?{urlencode({'apiKey': KEY, **parameters})}"


def me(simulator: Simulator, **parameters: str) -> Any:
    return json.loads(simulator.answer("GET", target("me", **parameters)).body)


def statistics(simulator: Simulator, interval: str, **parameters: str) -> Any:
    reply = simulator.answer("GET", target("statistics/cost-resume", interval=interval, **parameters))
    return json.loads(reply.body)


def entries(simulator: Simulator, interval: str, **parameters: str) -> list[Any]:
    datas: list[Any] = statistics(simulator, interval, **parameters)["datas"]
    return datas


def thousandths(text: str) -> int:
    whole, _, decimals = text.partition(".")
    assert len(decimals) == 3
    return int(whole) * 1000 + int(decimals)


def names(datas: list[Any]) -> list[str]:
    return [f"{entry['year']}-{entry['m']}" for entry in datas]


# --- the documented shapes


def test_statistics_have_the_documented_shape() -> None:
    reply = statistics(simulated(), "custom", **{"from": "01-10-2021", "to": "30-11-2021"})
    assert reply.keys() == {"success", "datas"}
    assert reply["success"] is True
    october, november = reply["datas"]
    fixed = {"month": "october", "year": "2021", "m": "10", "date": 1633039200, "type": "month"}
    assert october == fixed | {"cost": october["cost"], "nb_send": october["nb_send"]}
    assert (november["month"], november["date"]) == ("november", 1635721200)
    for entry in reply["datas"]:
        assert list(entry) == ["month", "year", "m", "date", "type", "cost", "nb_send"]
        assert thousandths(entry["cost"]) > 0
        assert str(int(entry["nb_send"])) == entry["nb_send"]


def test_credits_have_the_documented_shape() -> None:
    reply = me(simulated())
    assert reply.keys() == {"success", "code", "user", "credits"}
    assert (reply["success"], reply["code"]) == (True, 200)
    assert reply["user"].keys() == {"username", "firstname", "lastname"}
    left = reply["credits"]
    balance = thousandths(left["balance"])
    assert left["solde"] == left["balance"]
    assert left["currency"] == "EUR"
    assert balance // 50 <= left["creditSms"] <= balance // 40
    assert (left["creditSmsECO"], left["creditHlr"]) == (balance // 23, balance // 5)
    assert left["toSend"] in range(12)
    assert len(left) == 7


# --- the figures


def test_figures_follow_from_seed_and_key_alone() -> None:
    def figures(key: str, seed: int) -> int:
        return SimulatedAccount(key, 1, seed).usage(date(2021, 1, 1), date(2021, 12, 31), NOVEMBER).sent

    assert figures("a", 0) == figures("a", 0)
    assert len({figures("a", 0), figures("b", 0), figures("a", 1)}) == 3


def test_the_past_never_changes() -> None:
    then, later = simulated(), simulated(at("2025-03-01T00:00:00"))
    year = {"from": "01-11-2020", "to": "31-10-2021"}
    assert entries(then, "custom", **year) == entries(later, "custom", **year)


@pytest.mark.parametrize("key", ["demo", "a", "b"])
def test_every_month_of_many_years_is_plausible(key: str) -> None:
    account, now = SimulatedAccount(key, 1, 0), at("2029-01-01T00:00:00")
    for first, last in months(START, date(2028, 12, 31)):
        used = account.usage(first, last, now)
        assert 5_000 <= used.sent <= 12_000
        assert 40 <= used.cost / used.sent <= 50
    week = [account.usage(day, day, now).sent for day in days(date(2024, 6, 3), date(2024, 6, 9))]
    assert min(week[:5]) > week[5] > week[6] > 0


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2021, 3, 1), date(2021, 3, 31)),
        (date(2021, 10, 1), date(2021, 10, 31)),
        (date(2024, 2, 1), date(2024, 2, 29)),
        (date(2021, 12, 1), date(2021, 12, 31)),
    ],
)
def test_days_add_up_to_their_month(first: date, last: date) -> None:
    simulator = simulated(at("2025-01-01T00:00:00"))
    asked = {"from": f"{first:%d-%m-%Y}", "to": f"{last:%d-%m-%Y}"}
    by_day = entries(simulator, "custom", **asked)
    assert {entry["type"] for entry in by_day} == {"day"}
    assert [entry["date"] for entry in by_day] == [int(midnight(day)) for day in days(first, last)]

    by_month = Simulator(options=Options(custom_granularity="month"), now=lambda: at("2025-01-01T00:00:00"))
    (whole,) = entries(by_month, "custom", **asked)
    assert sum(int(entry["nb_send"]) for entry in by_day) == int(whole["nb_send"])
    assert sum(thousandths(entry["cost"]) for entry in by_day) == thousandths(whole["cost"])


def test_summer_time_days_have_23_and_25_hours() -> None:
    def length(day: date, following: date) -> float:
        return midnight(following) - midnight(day)

    assert length(date(2021, 3, 28), date(2021, 3, 29)) == 23 * 3600
    assert length(date(2021, 10, 31), date(2021, 11, 1)) == 25 * 3600


@pytest.mark.parametrize("day", ["2021-11-19", "2021-03-28", "2021-10-31"])
def test_the_running_day_grows_until_midnight_in_france(day: str) -> None:
    account, today = SimulatedAccount(KEY, 1, 0), date.fromisoformat(day)
    begin = midnight(today)
    sent = [account.usage(today, today, begin + second) for second in range(0, 26 * 3600, 600)]
    assert sent == sorted(sent)
    assert sent[0].sent == 0
    assert sent[-1] == account.usage(today, today, begin + 90_000) > sent[60] > sent[0]


def test_the_month_changes_at_midnight_in_france() -> None:
    before, after = simulated(at("2021-10-31T23:59:59")), simulated(at("2021-11-01T00:00:00"))
    assert names(entries(before, "last_month")) == ["2021-09"]
    assert names(entries(after, "last_month")) == ["2021-10"]
    newest = entries(after, "last_twelve_months")[-1]
    assert (newest["month"], newest["nb_send"], newest["cost"]) == ("november", "0", "0.000")


def test_the_balance_falls_by_the_cost_and_is_topped_up() -> None:
    account, moments = SimulatedAccount(KEY, 1, 0), [NOVEMBER + hour * 3600 for hour in range(0, 1440, 12)]
    balances = [account.balance(moment) for moment in moments]
    costs = [account.usage(START, date.max, moment).cost for moment in moments]
    steps = [
        later - sooner + cost - cost_before
        for (sooner, later), (cost_before, cost) in zip(pairwise(balances), pairwise(costs), strict=True)
    ]
    assert set(steps) == {0, TOP_UP}
    assert all(TOP_UP_BELOW <= balance < TOP_UP_BELOW + TOP_UP for balance in balances)


# --- intervals, and what the documentation leaves open


@pytest.mark.parametrize(
    ("now", "running", "first", "last"),
    [
        ("2021-11-20T15:00:00", True, "2020-12", "2021-11"),
        ("2021-11-20T15:00:00", False, "2020-11", "2021-10"),
        ("2021-12-31T23:59:59", True, "2021-01", "2021-12"),
        ("2022-01-01T00:00:00", True, "2021-02", "2022-01"),
        ("2022-01-01T00:00:00", False, "2021-01", "2021-12"),
    ],
)
def test_last_twelve_months(now: str, running: bool, first: str, last: str) -> None:
    options = Options(running_month=running)
    listed = names(entries(simulated(at(now), options), "last_twelve_months"))
    assert (len(listed), listed[0], listed[-1]) == (12, first, last)
    assert listed == sorted(listed)


@pytest.mark.parametrize(
    ("granularity", "begin", "end", "types"),
    [
        ("auto", "05-10-2021", "07-10-2021", ["day"] * 3),
        ("auto", "31-10-2021", "01-11-2021", ["month"] * 2),
        ("day", "31-10-2021", "01-11-2021", ["day"] * 2),
        ("month", "05-10-2021", "07-10-2021", ["month"]),
        ("auto", "19-11-2021", "30-11-2021", ["day"] * 2),
        ("auto", "01-12-2021", "31-12-2021", []),
        ("auto", "01-01-0001", "31-12-9999", ["month"] * 47),
    ],
)
def test_custom_intervals(granularity: Any, begin: str, end: str, types: list[str]) -> None:
    simulator = simulated(NOVEMBER, Options(custom_granularity=granularity))
    listed = entries(simulator, "custom", **{"from": begin, "to": end})
    assert [entry["type"] for entry in listed] == types


def test_a_part_of_a_month_counts_its_days_alone() -> None:
    simulator = simulated(NOVEMBER, Options(custom_granularity="month", requests_per_minute=None))
    (part,) = entries(simulator, "custom", **{"from": "05-10-2021", "to": "05-10-2021"})
    used = SimulatedAccount(KEY, 1, 0).usage(date(2021, 10, 5), date(2021, 10, 5), NOVEMBER)
    assert (part["date"], int(part["nb_send"])) == (1633039200, used.sent)


def test_days_without_sms_may_be_left_out() -> None:
    christmas = {"from": "24-12-2020", "to": "26-12-2020"}
    assert [entry["nb_send"] == "0" for entry in entries(simulated(), "custom", **christmas)] == [
        False,
        True,
        False,
    ]
    left_out = simulated(NOVEMBER, Options(zero_entries=False))
    assert [entry["date"] for entry in entries(left_out, "custom", **christmas)] == [
        int(midnight(date(2020, 12, day))) for day in (24, 26)
    ]


# --- errors


@pytest.mark.parametrize("mode", ERROR_CODES)
def test_every_code_has_the_documented_shape(mode: str) -> None:
    simulator = simulated()
    simulator.order(misbehave=mode)
    reply = simulator.answer("GET", target("me"))
    body = json.loads(reply.body)
    assert body == {"success": False, "code": ERROR_CODES[mode], "message": body["message"]}
    assert reply.status == (429 if mode == "rate_limited" else 200)
    assert reply.headers == ()


def test_keys_are_asked_for_and_checked() -> None:
    simulator = simulated(NOVEMBER, UNLIMITED, KEY)
    assert me(simulator)["success"] is True
    assert me(simulator, apiKey="") == {"success": False, "code": 1, "message": "API key is required"}
    assert me(simulator, apiKey="other") == {"success": False, "code": 10, "message": "Incorrect API Key"}
    assert json.loads(simulator.answer("GET", "/v1/me").body)["code"] == 1
    assert [request.account for request in simulator.requests] == [1, None, None, None]


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"interval": ""}, ["interval"]),
        ({"interval": "last_week"}, ["interval"]),
        ({"interval": "custom"}, ["from", "to"]),
        ({"interval": "custom", "from": "01-10-2021"}, ["to"]),
        ({"interval": "custom", "from": "2021-10-01", "to": "31-10-2021"}, ["from"]),
        ({"interval": "custom", "from": "31-02-2021", "to": "1-3-2021"}, ["from", "to"]),
        ({"interval": "custom", "from": "02-10-2021", "to": "01-10-2021"}, ["to"]),
    ],
)
def test_wrong_parameters_give_a_list_of_field_errors(parameters: dict[str, str], fields: list[str]) -> None:
    reply = json.loads(simulated().answer("GET", target("statistics/cost-resume", **parameters)).body)
    assert reply["success"] is False
    assert "message" not in reply
    assert [error["elementId"] for error in reply["error"]] == [f"children[{field}].data" for field in fields]


def test_options_of_errors() -> None:
    simulator = simulated(NOVEMBER, Options(error_status="4xx", french=True), KEY)
    reply = simulator.answer("GET", target("me", apiKey="other"))
    assert (reply.status, json.loads(reply.body)["message"]) == (401, "Clé API incorrecte")
    assert simulator.answer("GET", target("statistics/cost-resume")).status == 400

    limited = simulated(NOVEMBER, Options(error_status="200", retry_after=42))
    limited.order(misbehave="rate_limited")
    reply = limited.answer("GET", target("me"))
    assert (reply.status, reply.headers) == (200, (("Retry-After", "42"),))


def test_other_paths_and_methods() -> None:
    simulator = simulated()
    assert simulator.answer("GET", "/").status == 404
    assert simulator.answer("GET", "/v1/me/").status == 404
    assert simulator.answer("POST", target("me")).status == 405


# --- the limit


def statuses(options: Options, *arrivals: tuple[float, str]) -> list[int]:
    clock = [0.0]
    simulator = Simulator(options=options, now=lambda: NOVEMBER, monotonic=lambda: clock[0])

    def ask(arrived: float, key: str) -> int:
        clock[0] = arrived
        return simulator.answer("GET", target("me", apiKey=key)).status

    return [ask(*arrival) for arrival in arrivals]


def test_five_requests_in_sixty_sliding_seconds() -> None:
    seconds = [0, 10, 20, 30, 40, 59.999, 60, 69.999, 70, 79.999, 80]
    answered = statuses(Options(), *((1000 + second, KEY) for second in seconds))
    assert answered == [200] * 5 + [429, 200, 429, 200, 429, 200]


def test_refused_requests_do_not_count() -> None:
    burst = [(float(second), KEY) for second in range(60)]
    assert statuses(Options(), *burst, (60.0, KEY)) == [200] * 5 + [429] * 55 + [200]


def test_errors_and_all_paths_count() -> None:
    simulator = simulated(NOVEMBER, Options(requests_per_minute=3))
    assert [simulator.answer("GET", path).status for path in ("/", "/v1/me", target("me"), "/v1/me")] == [
        *(404, 200, 200),
        429,
    ]
    assert simulator.answer("GET", "/simulator").status == 200


def test_the_limit_counts_for_the_server_or_for_each_key() -> None:
    arrivals = [(0.0, "a"), (0.0, "b")] * 2
    assert statuses(Options(requests_per_minute=2), *arrivals) == [200, 200, 429, 429]
    assert statuses(Options(requests_per_minute=1, limit_per_key=True), *arrivals) == [200, 200, 429, 429]
    assert statuses(UNLIMITED, *arrivals * 50) == [200] * 200


def test_most_in_60s() -> None:
    assert most_in_60s([]) == 0
    assert most_in_60s([0, 12, 24, 36, 48, 60, 72]) == 5
    assert most_in_60s([0, 12, 24, 36, 48, 59.9, 500]) == 6


# --- orders


def test_a_fault_can_be_narrowed_and_ends() -> None:
    simulator = simulated()
    simulator.order(misbehave="server_error", key=KEY, endpoint="credits", for_requests=2)
    assert simulator.answer("GET", target("me", apiKey="other")).status == 200
    assert "datas" in statistics(simulator, "last_month")
    assert [simulator.answer("GET", target("me")).status for _ in range(3)] == [500, 500, 200]
    simulator.order(misbehave="server_error")
    simulator.order(misbehave="empty", endpoint="credits")
    assert simulator.answer("GET", target("me")).body == b""
    simulator.order(misbehave="ok", endpoint="credits")
    assert simulator.answer("GET", target("me")).status == 500
    simulator.order(misbehave="ok")
    assert simulator.answer("GET", target("me")).status == 200


def test_overspending_raises_the_running_month_and_lowers_the_balance() -> None:
    simulator = simulated()
    months_before, (before,) = (
        entries(simulator, "last_twelve_months"),
        entries(simulator, "custom", **this_month()),
    )
    simulator.order(balance=1000)
    simulator.order(overspend=2)
    months_after = entries(simulator, "last_twelve_months")
    assert months_after[:-1] == months_before[:-1]
    cost = thousandths(months_before[-1]["cost"])
    extra = thousandths(months_after[-1]["cost"]) - cost
    assert abs(extra - cost) < 0.01 * cost
    assert thousandths(me(simulator)["credits"]["balance"]) == 1_000_000 - extra
    simulator.order(send=100)
    (after,) = entries(simulator, "custom", **this_month())
    assert int(after["nb_send"]) in range(
        2 * int(before["nb_send"]) + 100 - 1, 2 * int(before["nb_send"]) + 103
    )


def this_month() -> dict[str, str]:
    return {"from": "20-11-2021", "to": "20-11-2021"}


def test_the_balance_runs_out_and_is_topped_up_by_order() -> None:
    simulator = simulated()
    balances = []
    for order in ({"balance": 0.5}, {"send": 1000}, {"top_up": 12.345}, {"balance": None}):
        simulator.order(key=KEY, **order)
        balances.append(me(simulator)["credits"]["balance"])
    assert balances[:3] == ["0.500", "0.000", "12.345"]
    assert thousandths(balances[3]) == 12_345 + TOP_UP


def test_the_clock_can_be_turned() -> None:
    simulator = simulated()
    simulator.order(now="2021-12-31T23:59:59")
    assert names(entries(simulator, "last_month")) == ["2021-11"]
    simulator.order(now="2021-12-31T23:00:00Z")
    assert names(entries(simulator, "last_month")) == ["2021-12"]
    simulator.order(now=None, offset=11 * 86400)
    assert names(entries(simulator, "last_month")) == ["2021-11"]
    simulator.order(offset=0)
    assert names(entries(simulator, "last_month")) == ["2021-10"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"misbehave": "politely"}', "misbehave"),
        ('{"misbehave": "slow", "seconds": NaN}', "seconds"),
        ('{"misbehave": "slow", "seconds": 1e999}', "seconds"),
        ('{"misbehave": "hang", "for_requests": 0}', "for_requests"),
        ('{"misbehave": "hang", "for_requests": true}', "for_requests"),
        ('{"misbehave": "hang", "endpoint": "all"}', "endpoint"),
        ('{"seconds": 3}', "misbehave"),
        ('{"send": 3}', "key"),
        ('{"key": "unknown", "send": 3}', "key"),
        ('{"balance": "12"}', "balance"),
        ('{"now": "tomorrow"}', "tomorrow"),
        ('{"now": "9999-12-31"}', "now"),
        ('{"self": 1}', "order"),
        ('{"a": 1}', "order"),
        ("[1]", "mapping"),
        ("{", "line 1"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_wrong_orders_are_refused_and_change_nothing(body: str, told: str) -> None:
    simulator = simulated(NOVEMBER, UNLIMITED, *([KEY] if "unknown" in body else []))
    before = simulator.state()
    reply = simulator.answer("POST", "/simulator", body.encode())
    assert reply.status == 400
    assert told in json.loads(reply.body)["error"]
    assert simulator.state() == before


def test_the_state_tells_what_was_asked_but_no_key() -> None:
    simulator = simulated(NOVEMBER, Options(requests_per_minute=2), KEY)
    for path in (target("me"), target("me", apiKey="wrong"), target("me")):
        simulator.answer("GET", path)
    simulator.order(misbehave="hang", key=KEY)
    shown = simulator.answer("GET", "/simulator").body.decode()
    state = json.loads(shown)
    assert [(r["path"], r["account"], r["status"], r["mode"]) for r in state["requests"]] == [
        ("/v1/me", 1, 200, "ok"),
        ("/v1/me", None, 200, "ok"),
        ("/v1/me", 1, 429, "ok"),
    ]
    assert {(r["monotonic"], r["time"]) for r in state["requests"]} == {(0.0, NOVEMBER)}
    assert (state["now"], state["most_requests_in_60s"]) == ("2021-11-20T15:00:00+01:00", 3)
    assert state["faults"][0]["mode"] == "hang"
    assert state["accounts"][0]["balance"] == me(simulated())["credits"]["balance"]
    assert "S3CR" not in shown
    assert "wrong" not in shown


def test_the_log_and_the_accounts_are_bounded() -> None:
    simulator = simulated()
    for number in range(5100):
        simulator.answer("GET", f"/v1/?apiKey={number}")
    assert len(simulator.requests) == 5000
    assert me(simulator)["code"] == 10


# --- over HTTP


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return simulated()


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Iterator[SimulatedServer]:
    with serve(simulator) as server:
        yield server


def address(server: SimulatedServer) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


@contextmanager
def connected(server: SimulatedServer) -> Iterator[socket.socket]:
    """A socket on which `/me` has been asked."""
    with socket.create_connection(address(server), timeout=5) as connection:
        connection.sendall(f"GET {target('me')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


@contextmanager
def misbehaving(simulator: Simulator, mode: str, **how: Any) -> Iterator[None]:
    simulator.order(misbehave=mode, **how)
    yield
    simulator.order(misbehave="ok")


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def get(
    server: SimulatedServer, path: str, method: str = "GET", body: str | None = None
) -> tuple[Any, bytes]:
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_one_connection_serves_many_requests(server: SimulatedServer, simulator: Simulator) -> None:
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    for _ in range(3):
        connection.request("GET", target("me"))
        response = connection.getresponse()
        body = response.read()
        assert response.headers["Content-Type"] == "application/json"
        assert int(response.headers["Content-Length"]) == len(body)
        assert json.loads(body) == me(simulator)
    connection.close()
    assert server.base_url == server.url + "/v1"


def test_orders_over_http(server: SimulatedServer) -> None:
    response, body = get(server, "/simulator", "POST", json.dumps({"misbehave": "html", "for_requests": 1}))
    assert (response.status, json.loads(body)["faults"][0]["mode"]) == (200, "html")
    response, body = get(server, target("me"))
    assert (response.status, body[:15]) == (200, b"<!DOCTYPE html>")
    response, body = get(server, "/simulator")
    assert json.loads(body)["faults"] == []


@pytest.mark.parametrize("length", ["1000001", "-1", "x", "\u00b2"])
def test_a_body_of_doubtful_length_is_not_read(server: SimulatedServer, length: str) -> None:
    with socket.create_connection(address(server), timeout=5) as connection:
        connection.sendall(f"POST /simulator HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode("latin-1"))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("mode", "how", "status", "content"),
    [
        ("key_rejected", {}, 200, b'{"success": false, "code": 10'),
        ("rate_limited", {}, 429, b'{"success": false, "code": 429'),
        ("error_list", {}, 200, b'{"success": false, "code": 9, "error": [{'),
        ("server_error", {}, 500, b"<!DOCTYPE html>"),
        ("html", {}, 200, b"<!DOCTYPE html>"),
        ("empty", {}, 200, b""),
        ("not_json", {}, 200, b'{"success": true, "code": 200, "user"'),
        ("body", {"body": '{"cost": NaN}', "status": 503}, 503, b'{"cost": NaN}'),
        ("redirect", {"redirect_to": "http://elsewhere.example/x"}, 302, b"<!DOCTYPE html>"),
        ("slow", {"seconds": 0.01}, 200, b'{"success": true'),
        ("drip_headers", {"seconds": 0.0001}, 200, b'{"success": true'),
        ("drip_body", {"seconds": 0.0001}, 200, b'{"success": true'),
    ],
)
def test_misbehaviour_within_http(
    server: SimulatedServer, mode: str, how: dict[str, Any], status: int, content: bytes
) -> None:
    order = {"misbehave": mode, "for_requests": 1, **how}
    assert get(server, "/simulator", "POST", json.dumps(order))[0].status == 200
    response, body = get(server, target("me"))
    assert response.status == status
    assert body.startswith(content)
    assert response.headers["Location"] == (
        f"{how['redirect_to']}?apiKey=S3CR%2BT%2Fkey" if mode == "redirect" else None
    )


def test_not_json_is_none(simulator: Simulator) -> None:
    with misbehaving(simulator, "not_json"), pytest.raises(ValueError, match="char"):
        me(simulator)


def test_hang_and_close_answer_nothing(server: SimulatedServer, simulator: Simulator) -> None:
    with misbehaving(simulator, "hang"), connected(server) as connection:
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    with misbehaving(simulator, "close"), connected(server) as connection:
        assert connection.recv(1) == b""
    assert [(request.mode, request.status) for request in simulator.requests[-2:]] == [
        ("hang", None),
        ("close", None),
    ]


def test_truncated(server: SimulatedServer, simulator: Simulator) -> None:
    with misbehaving(simulator, "truncated"), connected(server) as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    announced = len(json.dumps(me(simulator)))
    assert f"Content-Length: {announced}\r\n".encode() in head
    assert len(body) == announced // 2


def test_endless_body(server: SimulatedServer, simulator: Simulator) -> None:
    with misbehaving(simulator, "endless_body"), connected(server) as connection:
        received = b"".join(connection.recv(65536) for _ in range(100))
        assert connection.recv(1) == b" "
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Length" not in head
    assert body.startswith(b'{"success": true')


@pytest.mark.parametrize(("mode", "end"), [("drip_headers", b"H"), ("drip_body", b"\r\n\r\n{")])
def test_drips_come_byte_by_byte(
    server: SimulatedServer, simulator: Simulator, mode: str, end: bytes
) -> None:
    received = b""
    with misbehaving(simulator, mode, seconds=600), connected(server) as connection:
        while not received.endswith(end):
            received += connection.recv(1)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize("mode", ["hang", "slow", "drip_headers", "drip_body", "endless_body", "ok"])
def test_stopping_ends_every_connection_at_once(mode: str) -> None:
    simulator = simulated()
    simulator.order(misbehave=mode, seconds=600)
    before = set(threading.enumerate())
    with ExitStack() as clients:
        with serve(simulator) as server:
            clients.enter_context(connected(server))
            while not simulator.requests:
                time.sleep(0.001)
            begin = time.monotonic()
        assert time.monotonic() - begin < 0.5
        assert set(threading.enumerate()) <= before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address(server), timeout=1)


def test_errors_inside_are_told_without_values(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> float:
        raise KeyError(KEY)

    with serve(Simulator(now=broken)) as server, connected(server) as connection:
        assert connection.recv(1) == b""
    err = capfd.readouterr().err
    assert "KeyError" in err
    assert "S3CR" not in err


# --- the command line


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [],
        ["--port", "x"],
        ["--port", "0", "--misbehave", "badly"],
        ["--port", "0", "--seconds", "nan"],
        ["--port", "0", "--api-key", "a", "S3CRET"],
        ["--port", "0", "--apikey=S3CRET"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        err = capsys.readouterr().err
        assert ended.value.code == 2
        assert err.startswith("simulator: error: ")
        assert err.count("\n") == 1
        assert "S3CRET" not in err


def test_help_names_every_mode(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert all(mode in out for mode in MODES)


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "exporter.simulator", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.journey
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_told_to_end(ending: signal.Signals) -> None:
    arguments = ("--api-key", KEY, "--api-key", "other", "--requests-per-minute", "2", "--retry-after", "7")
    with started(*arguments) as (process, base_url):
        host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        replies = []
        for key in (KEY, "wrong", "other"):
            connection.request("GET", target("me", apiKey=key))
            response = connection.getresponse()
            body = json.loads(response.read())
            replies.append((response.status, body["code"], response.headers["Retry-After"]))
        assert replies == [(200, 200, None), (200, 10, None), (429, 429, "7")]
        begin = time.monotonic()
        process.send_signal(ending)
        out, err = process.communicate(timeout=5)
        connection.close()
        assert (process.returncode, out, err) == (0, "", "")
        assert time.monotonic() - begin < 1


@pytest.mark.journey
def test_the_command_ends_while_a_client_hangs() -> None:
    with started("--misbehave", "hang") as (process, base_url):
        host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(f"GET {target('me')} HTTP/1.1\r\n\r\n".encode())
            process.terminate()
            assert process.communicate(timeout=2) == ("", "")
            assert process.returncode == 0


@pytest.mark.journey
def test_a_port_in_use_is_one_line(server: SimulatedServer) -> None:
    command = [sys.executable, "-m", "exporter.simulator", "--port", str(address(server)[1])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"simulator: cannot listen on 127.0.0.1:{address(server)[1]}: ")
