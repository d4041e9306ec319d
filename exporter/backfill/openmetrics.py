"""Past months as OpenMetrics text with timestamps, as `promtool tsdb create-blocks-from openmetrics` takes it. Pure."""

from collections.abc import Callable, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest

from exporter.metrics.exposition import Families
from exporter.metrics.families import ACCOUNT_GAUGES, AccountMetric
from exporter.model import MonthFigures
from exporter.months import month_end, month_start

_VALUES: Mapping[str, Callable[[str, MonthFigures], float]] = {
    "sms_cost_monthly": lambda _, figures: figures.cost,
    "sms_sent_monthly": lambda _, figures: figures.sent,
    "smspartner_month_start_timestamp_seconds": lambda month, _: month_start(month),
}
_Figures = Mapping[str | None, Mapping[str, MonthFigures]]


def render(target: Mapping[str, str], figures: _Figures) -> bytes:
    """Return figures by account and month as text. Each month is one sample of each metric, at its last second.

    `target` holds the labels that Prometheus gives the live series when it scrapes: ``job`` and ``instance``.
    """
    families = (_family(gauge, target, figures) for gauge in ACCOUNT_GAUGES if gauge.name in _VALUES)
    text: bytes = generate_latest(Families(families))  # type: ignore[no-untyped-call]
    return text


def _family(gauge: AccountMetric, target: Mapping[str, str], figures: _Figures) -> GaugeMetricFamily:
    family = GaugeMetricFamily(gauge.name, gauge.help)
    for account, months in figures.items():
        labels = {**target, **({} if account is None else {"account": account})}
        for month, of_month in months.items():
            value = _VALUES[gauge.name](month, of_month)
            family.add_sample(gauge.name, {**labels, "month": month}, value, timestamp=int(month_end(month)))
    return family
