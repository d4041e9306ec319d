"""Past months as OpenMetrics text with timestamps, as `promtool tsdb create-blocks-from openmetrics` takes it. Pure."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest

from exporter.metrics.families import ACCOUNT_GAUGES
from exporter.model import MonthFigures
from exporter.months import month_end, month_start

_VALUES: Mapping[str, Callable[[str, MonthFigures], float]] = {
    "sms_cost_monthly": lambda _, figures: figures.cost,
    "sms_sent_monthly": lambda _, figures: figures.sent,
    "smspartner_month_start_timestamp_seconds": lambda month, _: month_start(month),
}


class MonthSamples:
    """Figures by account and month. Each month is one sample of each metric, at the month's last second.

    `target` holds the labels that Prometheus gives the live series when it scrapes: ``job`` and ``instance``.
    """

    def __init__(
        self, target: Mapping[str, str], figures: Mapping[str | None, Mapping[str, MonthFigures]]
    ) -> None:
        self._target = target
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metric families."""
        for gauge in ACCOUNT_GAUGES:
            if gauge.name in _VALUES:
                yield self._family(gauge.name, gauge.help)

    def render(self) -> bytes:
        """Return the text."""
        text: bytes = generate_latest(self)  # type: ignore[no-untyped-call]
        return text

    def _family(self, name: str, text: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text)
        for account, months in self._figures.items():
            labels = {**self._target, **({} if account is None else {"account": account})}
            for month, figures in months.items():
                value = _VALUES[name](month, figures)
                family.add_sample(name, {**labels, "month": month}, value, timestamp=int(month_end(month)))
        return family
