"""The kinds of panels and variables that the dashboard is made of."""

from typing import TypeVar

import queries
from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as models

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
CURRENCIES = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}
"""Signs by ISO 4217 code. Amounts in any other currency are shown without a sign.

They are plain suffixes: `currencyEUR` shortens 1,234.56 to 1.23K, and Grafana 10 knows no `currency:financial`.
"""

BUDGET_STEPS = ((None, "text"), (0, "green"), (0.9, "orange"), (1, "red"))

Panel = TypeVar("Panel", stat.Panel, barchart.Panel, bargauge.Panel, timeseries.Panel)


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


def alerting(panel: Panel, *alerts: str) -> Panel:
    """Link a panel to the runbook, for alerts that fire on what it shows."""
    links: list[Builder[models.DashboardLink]] = []
    for alert in alerts:
        link = dashboard.DashboardLink(f"Runbook: SmsPartner{alert}").type(models.DashboardLinkType.LINK)
        links.append(link.url(f"${{runbook:raw}}#smspartner{alert.lower()}").target_blank(True))
    return panel.links(links)


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
    for ref_id, target in zip("ABCDE", targets, strict=False):
        panel.with_target(target.ref_id(ref_id))
    return panel


def bars(title: str, text: str, *targets: prometheus.Dataquery) -> barchart.Panel:
    """Return a bar for each month, oldest left, stacked from the parts that the label `part` names."""
    panel = titled(barchart.Panel(), title, text, "No month is known yet", 8, 8)
    for ref_id, target in zip("AB", targets, strict=False):
        panel.with_target(target.ref_id(ref_id))
    for name, options in (
        ("labelsToFields", {"mode": "columns", "valueLabel": "part"}),
        ("merge", {}),
        (
            "organize",
            {"renameByName": {"month": "Month"}, "excludeByName": {"Time": True}, "indexByName": {}},
        ),
        ("sortBy", {"sort": [{"field": "Month"}]}),
    ):
        panel.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    panel.x_field("Month").x_tick_label_rotation(-45).x_tick_label_max_length(20)
    panel.stacking(commons.StackingMode.NORMAL)
    panel.show_value(commons.VisibilityMode.AUTO).bar_width(0.9).axis_soft_min(0)
    panel.fill_opacity(80).line_width(1)
    panel.thresholds(colours((None, "text")))
    panel.override_by_regexp(f"/^({queries.SPENT}|{queries.SENT_PART}|{queries.PER_SMS})/", [fixed("blue")])
    panel.override_by_regexp(f"/^{queries.TO_COME}/", [fixed("text"), property_of("custom.fillOpacity", 15)])
    return panel.legend(legend()).tooltip(tooltip())


def gauges(title: str, text: str, promql: str) -> bargauge.Panel:
    """Return a bar for each account, the longest on top."""
    panel = titled(bargauge.Panel(), title, text, "No budget", 12, 6)
    panel.with_target(query(promql, "{{account}}").ref_id("A"))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    panel.orientation(commons.VizOrientation.HORIZONTAL).display_mode(commons.BarGaugeDisplayMode.BASIC)
    panel.text(common.VizTextDisplayOptions().title_size(14).value_size(18))
    return panel.unit("percentunit").decimals(0).min(0).max(1).thresholds(colours(*BUDGET_STEPS))


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


def money_number(
    title: str, text: str, no_value: str, height: int, promql: str, decimals: int = 2
) -> stat.Panel:
    """Return a panel with one amount in the chosen currency."""
    panel = number(title, text, no_value, 6, height, query(promql, "${currency:text}"))
    return in_currency(panel, "/^CODE$/", decimals)


def choices(name: str, label: str, promql: str) -> dashboard.QueryVariable:
    """Return a variable whose values Prometheus knows."""
    variable = dashboard.QueryVariable(name).label(label).datasource(DATASOURCE)
    variable.query({"query": promql, "refId": name, "qryType": 1 if promql.startswith("label_values") else 3})
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(
        models.VariableSort.ALPHABETICAL_ASC
    )
