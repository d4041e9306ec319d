"""A snapshot as metric families. Pure: everything that is shown is handed in."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from exporter import __version__
from exporter.model import Account, Reason, RequestStats, Snapshot, Status
from exporter.months import month_start, running_month

Labels = tuple[str, ...]
Samples = Iterator[tuple[Labels, float]]


@dataclass(frozen=True)
class AccountMetric:
    """A gauge with series of its own for each account. `samples` yields label values and a value."""

    name: str
    help: str
    labels: Labels
    samples: Callable[[Account], Samples]


def _costs(account: Account) -> Samples:
    for month, figures in account.figures.months.items():
        yield (month,), figures.cost


def _sent(account: Account) -> Samples:
    for month, figures in account.figures.months.items():
        yield (month,), figures.sent


def _month_starts(account: Account) -> Samples:
    for month in account.figures.months:
        yield (month,), month_start(month)


def _info(account: Account) -> Samples:
    credit = account.figures.credits
    yield ((credit.currency or "") if credit else "", account.parent or ""), 1


def _balance(account: Account) -> Samples:
    credit = account.figures.credits
    if credit and credit.balance is not None:
        yield (credit.currency or "",), credit.balance


def _credits(account: Account) -> Samples:
    if account.figures.credits:
        for kind, count in account.figures.credits.remaining.items():
            yield (kind,), count


def _queued(account: Account) -> Samples:
    if account.figures.credits and account.figures.credits.queued is not None:
        yield (), account.figures.credits.queued


def _budget(account: Account) -> Samples:
    if account.monthly_budget is not None:
        yield (), account.monthly_budget


def _up(account: Account) -> Samples:
    for endpoint in account.endpoints:
        ended = [poll.succeeded for poll in account.polls_of(endpoint).values() if poll.succeeded is not None]
        if ended:
            yield (endpoint,), all(ended)


def _failing(account: Account) -> Samples:
    for endpoint in account.endpoints:
        holding = {poll.reason for poll in account.polls_of(endpoint).values()}
        for reason in Reason:
            yield (endpoint, reason), reason in holding


def _last_success(account: Account) -> Samples:
    for endpoint in account.endpoints:
        fetched = [account.figures.fetched.get(query) for query in account.polls_of(endpoint)]
        known = [when for when in fetched if when is not None]
        if len(known) == len(fetched):
            yield (endpoint,), min(known)


ACCOUNT_GAUGES = (
    AccountMetric(
        "sms_cost_monthly",
        "Cost of the SMS sent in the month, in the account's currency. API field: cost of statistics/cost-resume.",
        ("month",),
        _costs,
    ),
    AccountMetric(
        "sms_sent_monthly",
        "SMS sent in the month. API field: nb_send of statistics/cost-resume.",
        ("month",),
        _sent,
    ),
    AccountMetric(
        "smspartner_month_start_timestamp_seconds",
        "When the month began in Europe/Paris, Unix time. API fields: year and m of statistics/cost-resume.",
        ("month",),
        _month_starts,
    ),
    AccountMetric(
        "smspartner_account_info",
        "The account's currency, empty while none is known, and the account whose sub-account it is, else empty. "
        "Always 1. API field: currency of me.",
        ("currency", "parent"),
        _info,
    ),
    AccountMetric(
        "smspartner_balance",
        "Money left on the account, in the currency of the label. API field: balance (or solde) of me.",
        ("currency",),
        _balance,
    ),
    AccountMetric(
        "smspartner_credits",
        "SMS or HLR look-ups the balance pays for. API fields: creditSms, creditSmsECO (or creditSmsLowCost) and "
        "creditHlr of me.",
        ("kind",),
        _credits,
    ),
    AccountMetric("smspartner_queued_sms", "SMS waiting to go out. API field: toSend of me.", (), _queued),
    AccountMetric(
        "smspartner_monthly_budget",
        "Budget for a month from the configuration, in the account's currency. Absent if none is set.",
        (),
        _budget,
    ),
    AccountMetric(
        "smspartner_up",
        "1 if the last poll of the endpoint succeeded, else 0. Absent before the first.",
        ("endpoint",),
        _up,
    ),
    AccountMetric(
        "smspartner_poll_failing",
        "1 for the reason for which polling the endpoint fails now, 0 for the others.",
        ("endpoint", "reason"),
        _failing,
    ),
    AccountMetric(
        "smspartner_last_success_timestamp_seconds",
        "When the figures were last fetched, Unix time. They stay when a poll fails: this is their age.",
        ("endpoint",),
        _last_success,
    ),
)


def of_accounts(snapshot: Snapshot, wall_clock_offset: float) -> Iterator[Metric]:
    """Yield the families of the accounts. Added to a monotonic instant, `wall_clock_offset` makes it Unix time."""
    account_label = _account_label(snapshot)
    for metric in ACCOUNT_GAUGES:
        family = GaugeMetricFamily(metric.name, metric.help, labels=(*account_label, *metric.labels))
        for account in snapshot:
            for labels, value in metric.samples(account):
                family.add_metric((*_own(account), *labels), value)
        yield family
    next_polls = GaugeMetricFamily(
        "smspartner_next_poll_timestamp_seconds",
        "When the endpoint is asked next, Unix time.",
        labels=(*account_label, "endpoint"),
    )
    durations = SummaryMetricFamily(
        "smspartner_api_request_duration_seconds",
        "Exchanges with the API and how long they took.",
        labels=(*account_label, "endpoint"),
    )
    failures = CounterMetricFamily(
        "smspartner_api_failures",
        "Exchanges with the API that brought no figures.",
        labels=(*account_label, "endpoint", "reason"),
    )
    for account in snapshot:
        for endpoint in account.endpoints:
            request_stats = account.request_stats.get(endpoint, RequestStats())
            labels = (*_own(account), endpoint)
            due = min(poll.due for poll in account.polls_of(endpoint).values())
            next_polls.add_metric(labels, due + wall_clock_offset)
            durations.add_metric(labels, count_value=request_stats.count, sum_value=request_stats.seconds)
            for reason in Reason:
                failures.add_metric((*labels, reason), request_stats.failures.get(reason, 0))
    yield next_polls
    yield durations
    yield failures


def of_running_month(snapshot: Snapshot, now: float) -> Metric:
    """Return the one family of the accounts that changes by itself as time passes."""
    month, elapsed = running_month(now)
    family = GaugeMetricFamily(
        "smspartner_month_elapsed_ratio",
        "Share of the running month in Europe/Paris that has passed, 0 to 1. No other month has it.",
        labels=(*_account_label(snapshot), "month"),
    )
    for account in snapshot:
        family.add_metric((*_own(account), month), elapsed)
    return family


def _account_label(snapshot: Snapshot) -> Labels:
    return ("account",) if any(account.name is not None for account in snapshot) else ()


def _own(account: Account) -> Labels:
    return () if account.name is None else (account.name,)


def of_exporter(status: Status) -> Iterator[Metric]:
    """Yield the families that describe the exporter itself, whatever the number of accounts."""
    yield GaugeMetricFamily(
        "smspartner_poll_interval_seconds",
        "Seconds between polls of an account: as configured, or more if sub-accounts need it.",
        status.poll_interval,
    )
    yield GaugeMetricFamily(
        "smspartner_api_requests_per_minute_limit",
        "Requests the exporter sends in any minute at most: all together, or with each key, as limit_scope says.",
        status.requests_per_minute,
    )
    yield GaugeMetricFamily(
        "smspartner_api_requests_last_minute",
        "Requests this process sent in the last 60 seconds: all together, or the most with one key, as limit_scope "
        "says.",
        status.requests_last_minute,
    )
    yield GaugeMetricFamily(
        "smspartner_state_writable",
        "0 if the state directory cannot be written: a restart then forgets figures and the time of the last request.",
        status.state_writable,
    )
    yield GaugeMetricFamily(
        "smspartner_config_last_reload_successful",
        "1 if the configuration and the web configuration were read successfully the last time, else 0.",
        status.reload_successful,
    )
    yield GaugeMetricFamily(
        "smspartner_config_last_reload_success_timestamp_seconds",
        "When the configuration was last read successfully, Unix time.",
        status.reload_success_time,
    )
    build = GaugeMetricFamily(
        "smspartner_exporter_build_info",
        "The exporter's version, and Python's. Always 1.",
        labels=("version", "python"),
    )
    build.add_metric((__version__, platform.python_version()), 1)
    yield build
