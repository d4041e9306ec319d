"""The dashboard's PromQL.

Each account is first reduced to one series a month, so that a restart, a second exporter on the same key or
back-filled history never counts twice. Money is only ever added within one currency. `on (account)` also joins
the series of the one account that has no name: both sides lack the label.
"""

from collections.abc import Mapping

ACCOUNTS = '{account=~"$account"}'
HOUR, DAY = 3600, 86400


def _monthly(metric: str) -> str:
    return f"max by (account, month) ({metric}{ACCOUNTS})"


def _ever_monthly(metric: str) -> str:
    """Months that are no longer exposed too, as far back as the time range goes."""
    return f"max by (account, month) (last_over_time({metric}{ACCOUNTS}[$__range]))"


def _length(start: str) -> str:
    # PromQL's calendar is UTC's, in which a month of Paris starts on the last day of the one before.
    return f"{DAY} * days_in_month({start} + {15 * DAY})"


def _newest_unless_over(start: str) -> str:
    # The hour covers the end of summer time, and the first poll of a new month. A month to come is not the running one.
    return f"topk by (account) (1, {start} > time() - {HOUR} - {_length(start)} <= time())"


COST, SENT, START = "sms_cost_monthly", "sms_sent_monthly", "smspartner_month_start_timestamp_seconds"
_START = _monthly(START)
_LENGTH = _length(_START)
_RUNNING = _newest_unless_over(_START)
_PREVIOUS = f"(abs({_START} + {_LENGTH} - on (account) group_left () {_RUNNING}) <= {HOUR})"
_RECENT = f"({_START} > time() - {62 * DAY} <= time())"

_BALANCE = f"smspartner_balance{ACCOUNTS}"
_BUDGET = f"max by (account) (smspartner_monthly_budget{ACCOUNTS})"
# Without a balance there is no currency: such accounts are added up among themselves.
_CURRENCY = f"""(
  group by (account, currency) ({_BALANCE})
  or on (account) group by (account) (last_over_time({COST}{ACCOUNTS}[$__range]))
)"""


def _by_currency(value: str, *by: str) -> str:
    labels = ", ".join(("currency", *by))
    return f"sum by ({labels}) (\n  {value}\n  * on (account) group_left (currency) {_CURRENCY}\n)"


def _running(metric: str) -> str:
    return f"({_monthly(metric)} and {_RUNNING})"


_COST_SO_FAR = _running(COST)
_FORECAST = f"({_COST_SO_FAR} / (clamp_max((time() - {_RUNNING}) / ({_LENGTH}), 1) > 0.05))"

COST_SO_FAR = _by_currency(_COST_SO_FAR)
FORECAST = _by_currency(_FORECAST)
BUDGET_USED = f"topk(1, {_COST_SO_FAR} / on (account) group_left () {_BUDGET})"
BUDGET_FORECAST = f"topk(1, {_FORECAST} / on (account) group_left () {_BUDGET})"
BALANCE = f"sum by (currency) (max by (account, currency) ({_BALANCE}))"
RUNWAY_DAYS = f"""sort(bottomk(3, floor(
  max by (account) ({_BALANCE})
  / (
    sum by (account) ({_monthly(COST)} and {_RECENT})
    / ((time() - min by (account) ({_RECENT})) / {DAY} > 1.5)
    > 0
  )
  and on (account) {_RUNNING}
)))"""
SENT_SO_FAR = f"sum({_running(SENT)})"

_COST_PER_SMS = f"""(
  {_by_currency(_monthly(COST), "month")}
  / ({_by_currency(_monthly(SENT), "month")} > 0)
)"""
COST_PER_SMS = f"sum by (currency) ({_COST_PER_SMS} and on (month) {_RUNNING})"
COST_PER_SMS_CHANGE = f"""{COST_PER_SMS}
/ sum by (currency) ({_COST_PER_SMS} and on (month) {_PREVIOUS}) - 1"""

# Where there are several currencies, each has bars of its own, named after month and currency.
_BAR_NAME = f"""(
  label_replace(
    {_CURRENCY} and on () (count(group by (currency) {_CURRENCY}) > 1),
    "bar", " $1", "currency", "(.+)"
  )
  or on (account) {_CURRENCY}
)"""
FULL, SO_FAR, TO_COME = "Full month", "So far", "To come"
"""The parts that bars are made of. Their alphabetical order is the one in which they are stacked."""


def _parts(values: Mapping[str, str]) -> str:
    parts = (f'label_replace({value}, "part", "{part}", "", "")' for part, value in values.items())
    return "(\n  " + "\n  or ".join(parts) + "\n)"


def _full_months(metric: str) -> str:
    # An exporter that does not answer must not make a full month of the running one.
    return f"{_ever_monthly(metric)} unless {_newest_unless_over(_ever_monthly(START))}"


_COST_PARTS = _parts(
    {FULL: _full_months(COST), SO_FAR: _COST_SO_FAR, TO_COME: f"{_FORECAST} - {_COST_SO_FAR}"}
)
COST_BARS = f"""label_join(label_join(
  sum by (month, bar, currency, part) ({_COST_PARTS} * on (account) group_left (currency, bar) {_BAR_NAME}),
  "bar", "", "month", "bar"
), "part", " ", "part", "currency")"""
SENT_BARS = f"sum by (month, part) {_parts({FULL: _full_months(SENT), SO_FAR: _running(SENT)})}"

AGE = f"max by (endpoint) (time() - smspartner_last_success_timestamp_seconds{ACCOUNTS})"
POLL_INTERVAL = "max(smspartner_poll_interval_seconds)"
_POLL_FAILING = f"smspartner_poll_failing{ACCOUNTS}"
_NOT_WRITABLE = "1 - min(smspartner_state_writable)"
_NOT_RELOADED = "1 - min(smspartner_config_last_reload_successful)"
FAILING = f"""topk(6,
  max by (account, endpoint, reason) ({_POLL_FAILING} == 1)
  or label_replace({_NOT_WRITABLE} == 1, "reason", "state directory", "", "")
  or label_replace({_NOT_RELOADED} == 1, "reason", "configuration", "", "")
  or label_replace(max({_POLL_FAILING}) + ({_NOT_WRITABLE}) + ({_NOT_RELOADED}) == 0, "reason", "nothing", "", "")
)"""
REQUESTS = "max(smspartner_api_requests_last_minute)"
REQUESTS_LIMIT = "max(smspartner_api_requests_per_minute_limit)"
API_TIME = f"""sum by (endpoint) (increase(smspartner_api_request_duration_seconds_sum{ACCOUNTS}[$__range]))
/ (sum by (endpoint) (increase(smspartner_api_request_duration_seconds_count{ACCOUNTS}[$__range])) > 0)"""
ACCOUNT_NAMES = "label_values(smspartner_next_poll_timestamp_seconds, account)"
