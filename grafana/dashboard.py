"""Write the Grafana dashboard: python grafana/dashboard.py > grafana/dashboards/smspartner.json."""

import json
from typing import Any, TypeVar

import queries
from grafana_foundation_sdk.builders import barchart, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.stat import Options as StatOptions

# The oldest Grafana that the dashboard is for: newer ones migrate from there, older fields stay as they are.
GRAFANA, SCHEMA = "10.4.0", 39
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
CURRENCIES = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}
"""Signs by ISO 4217 code. Amounts in any other currency are shown without a sign.

They are plain suffixes: `currencyEUR` shortens 1,234.56 to 1.23K, and Grafana 10 knows no `currency:financial`.
"""

Panel = TypeVar("Panel", stat.Panel, barchart.Panel, timeseries.Panel)


def query(promql: str, name: str = "") -> prometheus.Dataquery:
    """Return an instant query, its series named by a legend format."""
    return prometheus.Dataquery().expr(promql).instant().legend_format(name).datasource(DATASOURCE)


def colours(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Return thresholds: from each value on, a colour. The first one, without a value, is that of missing figures."""
    return dashboard.ThresholdsConfig().steps([models.Threshold(value, colour) for value, colour in steps])


def property_of(name: str, value: object) -> models.DynamicConfigValue:
    """Return a property of an override."""
    return models.DynamicConfigValue(name, value)


def fixed(colour: str) -> models.DynamicConfigValue:
    """Return an override's colour."""
    return property_of("color", {"mode": "fixed", "fixedColor": colour})


def titled(panel: Panel, title: str, text: str, no_value: str, width: int, height: int) -> Panel:
    """Set what every panel has."""
    panel.title(title).description(text).no_value(no_value).span(width).height(height)
    return panel.datasource(DATASOURCE)


def in_currency(panel: Panel, pattern: str, decimals: int | None = None) -> Panel:
    """Give the series whose names match the pattern, with CODE in it, the currency's sign."""
    if decimals is not None:
        panel.decimals(decimals)
    for code, sign in CURRENCIES.items():
        panel.override_by_regexp(pattern.replace("CODE", code), [property_of("unit", f"suffix:{sign}")])
    return panel


def number(
    title: str, text: str, no_value: str, width: int, height: int, *targets: prometheus.Dataquery
) -> stat.Panel:
    """Return a panel with one large number, or several with their names. It has no colour until given one."""
    shown = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = titled(stat.Panel(), title, text, no_value, width, height).reduce_options(shown)
    panel.graph_mode(commons.BigValueGraphMode.NONE).color_mode(commons.BigValueColorMode.VALUE)
    panel.wide_layout(False).text(common.VizTextDisplayOptions().title_size(12))
    panel.thresholds(colours((None, "text")))
    for ref_id, target in zip("AB", targets, strict=False):
        panel.with_target(target.ref_id(ref_id))
    return panel


def bars(title: str, text: str, promql: str, row_field: str) -> barchart.Panel:
    """Return a bar for each month, oldest left, stacked from its parts."""
    panel = titled(barchart.Panel(), title, text, "No month is known yet", 12, 8)
    panel.with_target(query(promql).format(PromQueryFormat.TABLE).ref_id("A"))
    for name, options in (
        ("sortBy", {"sort": [{"field": "part"}]}),
        (
            "groupingToMatrix",
            {"rowField": row_field, "columnField": "part", "valueField": "Value", "emptyValue": "null"},
        ),
        (
            "organize",
            {"renameByName": {f"{row_field}\\part": "Month"}, "excludeByName": {}, "indexByName": {}},
        ),
        ("sortBy", {"sort": [{"field": "Month"}]}),
    ):
        panel.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    panel.x_field("Month").x_tick_label_rotation(-45).x_tick_label_max_length(20)
    panel.stacking(commons.StackingMode.NORMAL)
    panel.show_value(commons.VisibilityMode.AUTO).bar_width(0.9).axis_soft_min(0)
    panel.fill_opacity(80).line_width(1)
    panel.thresholds(colours((None, "text")))
    panel.override_by_regexp(f"/^{queries.FULL}/", [fixed("blue")])
    panel.override_by_regexp(f"/^{queries.SO_FAR}/", [fixed("purple")])
    return panel.legend(legend()).tooltip(tooltip())


def lines(
    title: str, text: str, no_value: str, width: int, limit: str, *targets: prometheus.Dataquery
) -> timeseries.Panel:
    """Return lines over time, `limit` naming the dashed one."""
    panel = titled(timeseries.Panel(), title, text, no_value, width, 5).min(0).legend(legend("lastNotNull"))
    for ref_id, target in zip("AB", targets, strict=True):
        panel.with_target(target.range().ref_id(ref_id))
    panel.thresholds(colours((None, "text"))).tooltip(tooltip()).show_points(commons.VisibilityMode.NEVER)
    for name, colour in (("statistics", "blue"), ("credits", "purple"), ("requests", "blue")):
        panel.override_by_name(name, [fixed(colour)])
    dashes = {"fill": "dash", "dash": [6, 6]}
    return panel.override_by_name(limit, [property_of("custom.lineStyle", dashes), fixed("text")])


def legend(*calculations: str) -> common.VizLegendOptions:
    """Return a legend in one line below, with these calculations."""
    listed = common.VizLegendOptions().show_legend(True).calcs(list(calculations))
    return listed.display_mode(commons.LegendDisplayMode.LIST).placement(commons.LegendPlacement.BOTTOM)


def tooltip() -> common.VizTooltipOptions:
    """Return a tooltip that shows all series."""
    return common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI).sort(commons.SortOrder.NONE)


def money() -> list[Any]:
    """Return what the dashboard is for, in the order in which it is read."""
    budget_colours = colours((None, "text"), (0, "green"), (0.9, "orange"), (1, "red"))
    return [
        in_currency(
            number(
                "This month so far",
                "Cost of the SMS sent in the running month (Europe/Paris). Several accounts are added up, each "
                "currency by itself.",
                "No figures of this month",
                6,
                4,
                query(queries.COST_SO_FAR, "{{currency}}"),
            ),
            "/^CODE$/",
            2,
        ),
        in_currency(
            number(
                "Forecast for this month",
                "What the month will cost if it goes on as it did so far. Shown once 5 % of the month have passed, "
                "a day and a half: before that, it would be guesswork. Several accounts are added up, each currency by "
                "itself.",
                "Too early for a forecast",
                6,
                4,
                query(queries.FORECAST, "{{currency}}"),
            ),
            "/^CODE$/",
            2,
        ),
        number(
            "Budget",
            "How much of the monthly budget is used, and will be in the end if the month goes on as it did so far. "
            "Of several accounts, the one that is nearest to its budget, or furthest over it. Orange from 90 %, red "
            "from 100 %.",
            "No budget set, or no figures",
            6,
            4,
            query(queries.BUDGET_USED, "{{account}} used"),
            query(queries.BUDGET_FORECAST, "{{account}} forecast"),
        )
        .unit("percentunit")
        .decimals(0)
        .thresholds(budget_colours),
        number(
            "SMS sent this month",
            "SMS sent in the running month (Europe/Paris), all chosen accounts together.",
            "No figures of this month",
            6,
            4,
            query(queries.SENT_SO_FAR, "SMS"),
        )
        .unit("locale")
        .decimals(0),
        in_currency(
            number(
                "Left on the account",
                "The prepaid balance. Several accounts are added up, each currency by itself.",
                "Balance not known",
                6,
                3,
                query(queries.BALANCE, "{{currency}}"),
            ),
            "/^CODE$/",
            2,
        ),
        number(
            "Balance lasts",
            "How long the balance lasts if spending goes on as in the months that began in the last 62 days. Of "
            "several accounts, the three that run out first. Orange below 14 days, red below 7.",
            "Too little known to tell",
            6,
            3,
            query(queries.RUNWAY_DAYS, "{{account}}"),
        )
        .unit("suffix:days")
        .decimals(0)
        .thresholds(colours((None, "text"), (0, "red"), (7, "orange"), (14, "green"))),
        in_currency(
            number(
                "Cost per SMS",
                "Cost of the running month divided by the SMS sent in it.",
                "No SMS known this month",
                6,
                3,
                query(queries.COST_PER_SMS, "{{currency}}"),
            ),
            "/^CODE$/",
            4,
        ),
        number(
            "Cost per SMS, against last month",
            "Change of the cost per SMS from the previous month to the running one. Green where it fell, orange where "
            "it rose by 5 % or more.",
            "Needs SMS in both months",
            6,
            3,
            query(queries.COST_PER_SMS_CHANGE, "{{currency}}"),
        )
        .unit("percentunit")
        .decimals(1)
        .thresholds(colours((None, "text"), (-1, "green"), (-0.005, "text"), (0.05, "orange"))),
        in_currency(
            bars(
                "Cost per month",
                "Months of Europe/Paris. The running month is made of what it cost so far, and what is to come if it "
                "goes on like that. A longer time range brings up older months that Prometheus has kept.",
                queries.COST_BARS,
                "bar",
            ),
            "/ CODE$/",
        ).override_by_regexp(f"/^{queries.TO_COME}/", [fixed("text"), property_of("custom.fillOpacity", 15)]),
        bars(
            "SMS per month",
            "Months of Europe/Paris, the running one so far. A longer time range brings up older months that "
            "Prometheus has kept.",
            queries.SENT_BARS,
            "month",
        ).unit("locale"),
    ]


def health() -> list[Any]:
    """Return what tells whether the figures can be trusted."""
    return [
        number(
            "Failing now",
            "What fails at this moment, and why: an account's endpoint, the state directory (not writable), or the "
            "configuration (invalid, so the one before is in use).",
            "The exporter does not answer",
            6,
            5,
            query(queries.FAILING, "{{account}} {{endpoint}} {{reason}}"),
        )
        .text_mode(commons.BigValueTextMode.NAME)
        .thresholds(colours((None, "text"), (0, "green"), (1, "red"))),
        lines(
            "Age of the figures",
            "Time since the figures were fetched; of several accounts, the oldest. While all is well, it stays below "
            "the poll interval (dashed).",
            "Nothing fetched yet",
            8,
            "interval",
            query(queries.AGE, "{{endpoint}}"),
            query(queries.POLL_INTERVAL, "interval"),
        )
        .unit("s")
        .decimals(0),
        lines(
            "Requests in the last minute",
            "Requests the exporter sent to the API in the last 60 seconds, and the most it would send.",
            "The exporter does not answer",
            5,
            "limit",
            query(queries.REQUESTS, "requests"),
            query(queries.REQUESTS_LIMIT, "limit"),
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
    accounts = (
        dashboard.QueryVariable("account")
        .label("Account")
        .datasource(DATASOURCE)
        .query({"query": queries.ACCOUNT_NAMES, "refId": "account", "qryType": 1})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
    board = (
        dashboard.Dashboard("SMS Partner")
        .uid("smspartner")
        .description(
            "What SMS cost this month and in the end, what is left, and whether the figures can be trusted."
        )
        .tags(["sms", "smspartner"])
        .time("now-24h", "now")
        .refresh("1m")
        .annotations([])
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(accounts)
    )
    for panel in money():
        board.with_panel(panel)
    board.with_row(dashboard.Row("The exporter itself"))
    for panel in health():
        board.with_panel(panel)
    return for_oldest(board.build())


def for_oldest(board: models.Dashboard) -> models.Dashboard:
    """Number the panels, and leave out the SDK's defaults that the oldest Grafana does not know."""
    board.schema_version = SCHEMA
    for panel_id, panel in enumerate(board.panels or [], start=1):
        panel.id_val = panel_id
        if isinstance(panel, models.Panel):
            panel.plugin_version = GRAFANA
            if isinstance(panel.options, StatOptions):
                options = panel.options.to_json()
                del options["percentChangeColorMode"]
                panel.options = options
    for variable in (board.templating and board.templating.list_val) or []:
        variable.allow_custom_value = variable.auto = variable.auto_min = variable.auto_count = None
    return board


if __name__ == "__main__":
    print(json.dumps(build(), cls=JSONEncoder, indent=2, ensure_ascii=False))
