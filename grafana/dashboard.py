"""Write the Grafana dashboard: python grafana/dashboard.py > grafana/dashboards/smspartner.json."""

import json
from typing import Any

import queries
from compatibility import as_json
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as models
from panels import (
    BUDGET_STEPS,
    DATASOURCE,
    alerting,
    bars,
    choices,
    colours,
    gauges,
    in_currency,
    lines,
    money_number,
    number,
    query,
)

RUNBOOK = "https://YOUR-SERVER/docs/runbook.md"


def money() -> list[Any]:
    """Return what the dashboard is for, in the order in which it is read."""
    return [
        alerting(
            money_number(
                "This month so far",
                "Cost of the SMS sent in the running month (Europe/Paris), in the chosen currency. Several accounts "
                "are added up.",
                "No figures of this month",
                4,
                queries.COST_SO_FAR,
            ),
            "SpendUnusual",
        ),
        alerting(
            money_number(
                "Forecast for this month",
                "What the month will cost if it goes on as it did so far, in the chosen currency. Shown once 5 % of "
                "the month have passed, a day and a half: before that, it would be guesswork. Several accounts are "
                "added up.",
                "Too early, or no figures",
                4,
                queries.COST_FORECAST,
            ),
            "BudgetForecastExceeded",
            "SpendUnusual",
        ),
        alerting(
            number(
                "Budget",
                "How much of the monthly budget is used, and will be in the end if the month goes on as it did so far. "
                "Of several accounts, in whatever currency, the one that is nearest to its budget, or furthest over "
                "it. Orange from 90 %, red from 100 %.",
                "No budget set, or no figures",
                6,
                4,
                query(queries.BUDGET_USED, "{{account}} used"),
                query(queries.BUDGET_FORECAST, "{{account}} forecast"),
            ),
            "BudgetExceeded",
            "BudgetForecastExceeded",
        )
        .unit("percentunit")
        .decimals(0)
        .thresholds(colours(*BUDGET_STEPS)),
        number(
            "SMS sent this month",
            "SMS sent in the running month (Europe/Paris), all chosen accounts together, whatever their currency.",
            "No figures of this month",
            6,
            4,
            query(queries.SENT_SO_FAR, "SMS"),
        )
        .unit("locale")
        .decimals(0),
        alerting(
            money_number(
                "Left on the account",
                "The prepaid balance in the chosen currency. Several accounts are added up.",
                "Balance not known",
                3,
                queries.BALANCE,
            ).span(8),
            "BalanceLow",
            "BalanceNearlySpent",
        ),
        alerting(
            number(
                "Balance lasts",
                "How long the balance lasts if spending goes on as in the months that began in the last 62 days. Of "
                "several accounts, in whatever currency, the three that run out first. Orange below 14 days, red "
                "below 7.",
                "Too little known to tell",
                8,
                3,
                query(queries.RUNWAY_DAYS, "{{account}}"),
            ),
            "BalanceLow",
            "BalanceNearlySpent",
        )
        .unit("suffix:days")
        .decimals(0)
        .thresholds(colours((None, "text"), (0, "red"), (7, "orange"), (14, "green"))),
        money_number(
            "Cost per SMS this month",
            "Cost of the running month divided by the SMS sent in it, of the accounts with the chosen currency.",
            "No SMS this month",
            3,
            queries.COST_PER_SMS,
            decimals=4,
        ).span(8),
        in_currency(
            bars(
                "Cost per month",
                "Months of Europe/Paris, in the chosen currency. To the running month is added what is to come if it "
                "goes on as it did so far. A longer time range brings up older months that Prometheus has kept.",
                query(queries.COST_BARS),
                query(queries.COST_TO_COME_BARS),
            ),
            "/ CODE$/",
        ),
        bars(
            "SMS per month",
            "Months of Europe/Paris, all chosen accounts together, whatever their currency. To the running month is "
            "added what is to come if it goes on as it did so far. A longer time range brings up older months.",
            query(queries.SENT_BARS),
            query(queries.SENT_TO_COME_BARS),
        ).unit("locale"),
        in_currency(
            bars(
                "Cost per SMS",
                "Cost of each month divided by the SMS sent in it, of the accounts with the chosen currency. Months "
                "without SMS have no bar.",
                query(queries.COST_PER_SMS_BARS),
            ),
            "/ CODE$/",
            4,
        ),
    ]


def accounts() -> list[Any]:
    """Return the budgets of several accounts. With one, the numbers on top say the same."""
    return [
        alerting(
            gauges(
                "Budget used, by account",
                "How much of its monthly budget each account has used, in whatever currency: the twelve that are "
                "nearest to it, or furthest over it. Orange from 90 %, red from 100 %.",
                queries.BUDGETS_USED,
            ),
            "BudgetExceeded",
        ),
        alerting(
            gauges(
                "Budget forecast, by account",
                "How much of its monthly budget each account will have used if the month goes on as it did so far: the "
                "twelve that will be nearest to it, or furthest over it. Orange from 90 %, red from 100 %.",
                queries.BUDGETS_FORECAST,
            ),
            "BudgetForecastExceeded",
        ),
    ]


def health() -> list[Any]:
    """Return what tells whether the figures can be trusted."""
    return [
        alerting(
            number(
                "Failing now",
                "What fails at this moment, and why: an account's endpoint, the state directory (not writable), or the "
                "configuration (invalid, so the one before is in use).",
                "The exporter does not answer",
                6,
                5,
                query(queries.FAILING, "{{account}} {{endpoint}} {{reason}}"),
                query(queries.NOT_WRITABLE, "state directory"),
                query(queries.NOT_RELOADED, "configuration"),
                query(queries.NO_EXPORTER, "no exporter answers"),
                query(queries.NOTHING_FAILS, "nothing"),
            ),
            "KeyRejected",
            "AccessDenied",
            "PollingFailing",
            "StateNotWritable",
            "ReloadFailed",
            "ExporterDown",
            "ExporterAbsent",
        )
        .text_mode(commons.BigValueTextMode.NAME)
        .thresholds(colours((None, "text"), (0, "green"), (1, "red"))),
        alerting(
            lines(
                "Age of the figures",
                "Time since the figures were fetched; of several accounts, the oldest. While all is well, it stays "
                "below the poll interval (dashed).",
                "Nothing fetched yet",
                8,
                "interval",
                query(queries.AGE, "{{endpoint}}"),
                query(queries.POLL_INTERVAL, "interval"),
            ),
            "DataStale",
        )
        .unit("s")
        .decimals(0),
        alerting(
            lines(
                "Requests in the last minute",
                "Requests the exporter sent to the API in the last 60 seconds, and the most it would send.",
                "The exporter does not answer",
                5,
                "limit",
                query(queries.REQUESTS, "requests"),
                query(queries.REQUESTS_LIMIT, "limit"),
            ),
            "RateLimited",
        ).decimals(0),
        number(
            "API time",
            "How long the API took to answer, on average over the time range, failures included.",
            "No request in this time range",
            5,
            5,
            query(queries.API_TIME, "{{endpoint}}"),
        ).unit("s"),
    ]


def build() -> models.Dashboard:
    """Return the dashboard."""
    every = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    account = choices("account", "Account", queries.ACCOUNT_NAMES).multi(True).include_all(True)
    currency = choices("currency", "Currency", queries.CURRENCIES).regex(queries.CURRENCY_OPTION)
    runbook = dashboard.ConstantVariable("runbook").value(RUNBOOK)
    firing = dashboard.AnnotationQuery().name("Firing alerts").datasource(DATASOURCE).enable(True)
    board = (
        dashboard.Dashboard("SMS Partner")
        .uid("smspartner")
        .description(
            "What SMS cost this month and in the end, what is left, and whether the figures can be trusted."
        )
        .tags(["sms", "smspartner"])
        .time("now-24h", "now")
        .refresh("1m")
        .annotation(firing.icon_color("red").expr(queries.FIRING))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(account.all_value(queries.MAIN_ACCOUNTS).current(every))
        .with_variable(currency)
        .with_variable(runbook)
    )
    for panel in money():
        board.with_panel(panel)
    by_account = dashboard.Row("Budget by account").collapsed(True)
    for panel in accounts():
        by_account.with_panel(panel)
    board.with_row(by_account)
    board.with_row(dashboard.Row("The exporter itself"))
    for panel in health():
        board.with_panel(panel)
    return board.build()


if __name__ == "__main__":
    print(json.dumps(as_json(build()), indent=2, ensure_ascii=False))
