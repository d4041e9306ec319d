"""Past months as OpenMetrics text: to the letter, and the same series as a live scrape."""

import pytest

from exporter.backfill.openmetrics import render
from exporter.model import Account, Figures, MonthFigures, Status
from exporter.months import month_end
from tests.support.backfill import series_of
from tests.support.families import collect

FIGURES = {
    "2024-02": MonthFigures(cost=49.174, sent=1210),
    "2024-03": MonthFigures(cost=0.0, sent=0),
}


def test_the_text_to_the_letter() -> None:
    text = render({"job": "sms", "instance": "host"}, {None: FIGURES}).decode()
    assert [line for line in text.splitlines() if not line.startswith("# HELP")] == [
        "# TYPE sms_cost_monthly gauge",
        'sms_cost_monthly{instance="host",job="sms",month="2024-02"} 49.174 1709247599',
        'sms_cost_monthly{instance="host",job="sms",month="2024-03"} 0.0 1711922399',
        "# TYPE sms_sent_monthly gauge",
        'sms_sent_monthly{instance="host",job="sms",month="2024-02"} 1210.0 1709247599',
        'sms_sent_monthly{instance="host",job="sms",month="2024-03"} 0.0 1711922399',
        "# TYPE smspartner_month_start_timestamp_seconds gauge",
        'smspartner_month_start_timestamp_seconds{instance="host",job="sms",month="2024-02"} 1.706742e+09 1709247599',
        'smspartner_month_start_timestamp_seconds{instance="host",job="sms",month="2024-03"} 1.7092476e+09 1711922399',
        "# EOF",
    ]
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("name", ['say "no"', "back\\slash", "été 北京", "\\n", "}{,="])
def test_label_values_are_escaped(name: str) -> None:
    target = {"job": f"job {name}", "instance": f"instance {name}"}
    for _, labels in series_of(render(target, {name: FIGURES})):
        values = dict(labels)
        assert values.pop("month") in FIGURES
        assert values == {**target, "account": name}


@pytest.mark.parametrize("name", [None, "marketing"])
def test_series_are_those_of_a_live_scrape(name: str | None) -> None:
    account = Account(name, None, Figures(history=FIGURES), {}, {})
    status = Status(900, 5, 0, True, True, 0, 0)
    live = {
        (sample.name, frozenset({**sample.labels, "job": "j", "instance": "i"}.items())): sample.value
        for family in collect((account,), status, 0)
        for sample in family.samples
        if "month" in sample.labels and family.name != "smspartner_month_elapsed_ratio"
    }
    past = series_of(render({"job": "j", "instance": "i"}, {name: FIGURES}))
    assert {series: value for series, (value, _) in past.items()} == live
    assert {when for _, when in past.values()} == {month_end(month) for month in FIGURES}
