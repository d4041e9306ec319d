"""The dashboard's PromQL.

Each account is first reduced to one series, or one a month, so that a restart, a second exporter on the same key or
back-filled history never counts twice. `on (account)` also joins the series of the one account that has no name: both
sides lack the label. Money is that of the chosen currency only.
"""

ACCOUNTS = '{account=~"$account"}'
COST, SENT = "sms_cost_monthly", "sms_sent_monthly"
_INFO = "smspartner_account_info"
_BUDGET = "smspartner_monthly_budget"
_ELAPSED = "smspartner_month_elapsed_ratio"
_OF_CURRENCY = f'and on (account) {_INFO}{{currency=~"$currency"}}'
# An exporter that is down has no currency now; one that has another currency now may have had none at first.
_EVER_OF_CURRENCY = (
    f'and on (account) last_over_time({_INFO}{{currency=~"$currency"}}[$__range]) '
    f'unless on (account) {_INFO}{{currency!~"$currency"}}'
)


def _running(metric: str) -> str:
    return f"{metric}{ACCOUNTS} and {_ELAPSED}"


def _forecast(metric: str) -> str:
    # Early in the month it would be guesswork.
    return f"{metric}{ACCOUNTS} / ({_ELAPSED} > 0.05)"


def _monthly(metric: str) -> str:
    """Months that are no longer exposed too, as far back as the time range goes."""
    return f"max by (account, month) (last_over_time({metric}{ACCOUNTS}[$__range]))"


def _to_come(metric: str) -> str:
    return f"max by (account, month) ({metric}{ACCOUNTS} * (1 / ({_ELAPSED} > 0.05) - 1))"


def _part(name: str, value: str) -> str:
    """Name what is to become a part of each month's bar."""
    return f'label_replace(\n{value},\n"part", "{name}", "", "")'


def _by_month(value: str) -> str:
    return f"sum by (month) ({value})"


COST_SO_FAR = f"sum(max by (account) ({_running(COST)}) {_OF_CURRENCY})"
COST_FORECAST = f"sum(max by (account) ({_forecast(COST)}) {_OF_CURRENCY})"
SENT_SO_FAR = f"sum(max by (account) ({_running(SENT)}))"
COST_PER_SMS = f"{COST_SO_FAR}\n/ (sum(max by (account) ({_running(SENT)}) {_OF_CURRENCY}) > 0)"
BALANCE = 'sum(max by (account) (smspartner_balance{account=~"$account", currency=~"$currency"}))'

_BUDGET_USED = f"max by (account) (({_running(COST)}) / ignoring (month) group_left () {_BUDGET})"
_BUDGET_FORECAST = f"max by (account) ({_forecast(COST)} / ignoring (month) group_left () {_BUDGET})"
BUDGET_USED = f"topk(1, {_BUDGET_USED})"
BUDGET_FORECAST = f"topk(1, {_BUDGET_FORECAST})"
BUDGETS_USED = f"topk(12, {_BUDGET_USED})"
BUDGETS_FORECAST = f"topk(12, {_BUDGET_FORECAST})"

# As in the rules: of the running month and the one or two before, 30.44 days each at most, and a week at least.
_RECENT = f"(smspartner_month_start_timestamp_seconds > time() - {62 * 86400} <= time())"
RUNWAY_DAYS = f"""sort(bottomk(3, floor(
  max by (account) (smspartner_balance{ACCOUNTS})
  * clamp_min(sum by (account) (max by (account, month) (clamp_max(time() - {_RECENT}, 2629746))) / 86400, 7)
  / (sum by (account) (max by (account, month) ({COST} and {_RECENT})) > 0)
)))"""

SPENT, SENT_PART, PER_SMS, TO_COME = "Spent", "Sent", "Per SMS", "To come"
"""The parts that bars are made of."""
_CURRENCY = "${currency:text}"
_COSTS, _SENT = (_by_month(f"{_monthly(metric)} {_EVER_OF_CURRENCY}") for metric in (COST, SENT))
COST_BARS = _part(f"{SPENT} {_CURRENCY}", _COSTS)
COST_TO_COME_BARS = _part(f"{TO_COME} {_CURRENCY}", _by_month(f"{_to_come(COST)} {_OF_CURRENCY}"))
SENT_BARS = _part(SENT_PART, _by_month(_monthly(SENT)))
SENT_TO_COME_BARS = _part(TO_COME, _by_month(_to_come(SENT)))
COST_PER_SMS_BARS = _part(f"{PER_SMS} {_CURRENCY}", f"{_COSTS}\n/ ({_SENT} > 0)")

AGE = f"max by (endpoint) (time() - smspartner_last_success_timestamp_seconds{ACCOUNTS})"
POLL_INTERVAL = "max(smspartner_poll_interval_seconds)"
FAILING = f"topk(6, max by (account, endpoint, reason) (smspartner_poll_failing{ACCOUNTS} == 1))"
NOT_WRITABLE = "1 - min(smspartner_state_writable) == 1"
NOT_RELOADED = "1 - min(smspartner_config_last_reload_successful) == 1"
NO_EXPORTER = "absent(smspartner_state_writable)"
NOTHING_FAILS = f"""max(smspartner_poll_failing{ACCOUNTS}) == 0
and on () min(smspartner_state_writable) == 1
and on () min(smspartner_config_last_reload_successful) == 1"""
REQUESTS = "max(smspartner_api_requests_last_minute)"
REQUESTS_LIMIT = "max(smspartner_api_requests_per_minute_limit)"
API_TIME = f"""sum by (endpoint) (increase(smspartner_api_request_duration_seconds_sum{ACCOUNTS}[$__range]))
/ (sum by (endpoint) (increase(smspartner_api_request_duration_seconds_count{ACCOUNTS}[$__range])) > 0)"""

MAIN_ACCOUNTS = "[^/]*"
"""Every account but the sub-accounts, whose names have a slash: a main account may contain their figures."""
ACCOUNT_NAMES = "label_values(smspartner_next_poll_timestamp_seconds, account)"
# The label is empty where no currency is known, and an empty value cannot be chosen: `^$` matches it.
CURRENCIES = (  # of one line, or Grafana does not know it for a query_result
    "query_result(label_replace(label_replace(group by (currency) "
    f"({_INFO}{ACCOUNTS} or on (account) last_over_time({_INFO}{ACCOUNTS}[$__range])), "
    '"name", "unknown", "currency", ""), "currency", "^$", "currency", ""))'
)
CURRENCY_OPTION = '/currency="(?<value>[^"]+)"(,name="(?<text>[^"]+)")?/'
FIRING = 'ALERTS{alertname=~"SmsPartner.+", alertstate="firing", account=~"$account|"}'
