"""Values that are refused, each beside a good API key: what it is about, the YAML, the message."""

from tests.config.files import accounts_in_yaml

_URL = "base_url: expected a URL such as https://api.smspartner.fr/v1, without user, query or fragment"
_INTERVAL = "poll_interval: expected a duration such as 30s, 15m, 1h30m or 1d"
_LIMIT = "requests_per_minute: expected a whole number from 1 to 5, the provider's limit"
_SCOPE = "limit_scope: expected all or account"
_STATISTICS = "statistics: expected last_twelve_months, last_month, or {from: 2024-01-01, to: 2024-12-31}"
_FROM = "statistics.from: expected a day such as 2024-01-01"
_TIMEOUT = "timeout: expected a duration such as 30s"
_BUDGET = (
    "monthly_budget: expected a number above 0 in the account's currency, such as 500 or 499.50; leave it out "
    "if there is no budget"
)

INVALID_URLS = [
    ("a backslash", r"base_url: 'https://api.smspartner.fr\v1'", _URL),
    ("an open bracket", "base_url: 'https://[::1/v1'", _URL),
    ("a control character", r'base_url: "https://api.smspartner.fr/v1\u0001"', _URL),
    ("an empty query", "base_url: https://api.smspartner.fr/v1?", _URL),
    ("nothing", 'base_url: ""', _URL),
    ("a fragment", "base_url: 'https://api.smspartner.fr/v1#x'", _URL),
    ("a host that begins with dots", "base_url: https://..fr/v1", _URL),
    ("a list", "base_url: [https://api.smspartner.fr/v1]", _URL),
    ("a port that is too high", "base_url: https://api.smspartner.fr:99999/v1", _URL),
    ("a port that is no number", "base_url: https://api.smspartner.fr:port/v1", _URL),
    ("a query with the key", "base_url: https://api.smspartner.fr/v1?apiKey=S3CR3T-K3Y", _URL),
    ("another scheme", "base_url: ftp://api.smspartner.fr/v1", _URL),
    ("a space", "base_url: 'https://api.smspartner.fr/v 1'", _URL),
    ("a user", "base_url: https://user:S3CR3T-K3Y@api.smspartner.fr/v1", _URL),
    ("no host", "base_url: https:///v1", _URL),
    ("no scheme", "base_url: api.smspartner.fr/v1", _URL),
]

INVALID_DURATIONS = [
    ("nothing", "poll_interval:", _INTERVAL),
    ("empty text", 'poll_interval: ""', _INTERVAL),
    ("a fraction", "poll_interval: 1.5h", _INTERVAL),
    ("milliseconds", "poll_interval: 900000ms", _INTERVAL),
    ("below zero", "poll_interval: -15m", _INTERVAL),
    ("a number", "poll_interval: 900", _INTERVAL),
    ("a number in quotes", 'poll_interval: "900"', _INTERVAL),
    ("units in the wrong order", "poll_interval: 30s1h", _INTERVAL),
    ("minutes and seconds", "poll_interval: 15:00", _INTERVAL),
    ("an unknown unit", "poll_interval: 15min", _INTERVAL),
    ("zero", "poll_interval: 0s", "poll_interval: must be more than 0 and at most 365d"),
    ("eternity", "poll_interval: 999999999y", "poll_interval: must be more than 0 and at most 365d"),
    ("a timeout with a space", "timeout: 30 s", _TIMEOUT),
    ("a timeout without a unit", "timeout: 30", _TIMEOUT),
    ("a timeout of zero", "timeout: 0s", "timeout: must be more than 0 and at most 5m"),
    ("a timeout that is too long", "timeout: 5m1s", "timeout: must be more than 0 and at most 5m"),
]

INVALID_NUMBERS = [
    ("a budget of true", "monthly_budget: true", _BUDGET),
    ("a budget with its currency", "monthly_budget: 500 EUR", _BUDGET),
    ("a budget with an exponent", "monthly_budget: 1e3", _BUDGET),
    ("a budget beyond all numbers", f"monthly_budget: 1{'0' * 400}", _BUDGET),
    ("an infinite budget", "monthly_budget: .inf", _BUDGET),
    ("a budget that is no number", "monthly_budget: .nan", _BUDGET),
    ("a budget below zero", "monthly_budget: -5", _BUDGET),
    ("a budget in hexadecimal", "monthly_budget: 0x1F4", _BUDGET),
    ("a budget with an underscore", "monthly_budget: 1_000", _BUDGET),
    ("a budget with a comma", "monthly_budget: 1,000", _BUDGET),
    ("a budget like a time", "monthly_budget: 1:30", _BUDGET),
    ("a budget like a date", "monthly_budget: 2024-01-01", _BUDGET),
    ("a budget in binary", "monthly_budget: 0b1111", _BUDGET),
    ("a budget tagged as a number", "monthly_budget: !!int 0500", _BUDGET),
    ("a budget in other digits", "monthly_budget: \N{ARABIC-INDIC DIGIT FIVE}00", _BUDGET),
    ("a budget of zero", "monthly_budget: 0", _BUDGET),
    ("a limit of true", "requests_per_minute: true", _LIMIT),
    ("a limit with a fraction", "requests_per_minute: 2.5", _LIMIT),
    ("a huge limit", "requests_per_minute: 1000000000000000000000000000000", _LIMIT),
    ("a limit below zero", "requests_per_minute: -1", _LIMIT),
    ("a limit above the provider's", "requests_per_minute: 6", _LIMIT),
    ("a limit in binary", "requests_per_minute: 0b11", _LIMIT),
    ("a limit like a time", "requests_per_minute: 0:05", _LIMIT),
    ("a limit of zero", "requests_per_minute: 0", _LIMIT),
]

INVALID_WORDS = [
    ("a word for a boolean", "credits: sometimes", "credits: expected true or false"),
    ("a number for a boolean", "current_month: 1", "current_month: expected true or false"),
    ("a scope of true", "limit_scope: true", _SCOPE),
    ("a list of scopes", "limit_scope: [all]", _SCOPE),
    ("an unknown scope", "limit_scope: key", _SCOPE),
]

INVALID_MONTHS = [
    ("a list", "statistics: [2024-01-01, 2024-12-31]", _STATISTICS),
    ("null", "statistics: null", _STATISTICS),
    ("a number", "statistics: 12", _STATISTICS),
    ("an unknown word", "statistics: last_year", _STATISTICS),
    ("an empty range", "statistics: {}", "statistics.from: is missing"),
    ("a range without an end", "statistics: {from: 2024-01-01}", "statistics.to: is missing"),
    ("days in French order", "statistics: {from: 01-01-2024, to: 31-12-2024}", _FROM),
    ("days without dashes", "statistics: {from: 20240101, to: 20241231}", _FROM),
    ("a word for a day", 'statistics: {from: "January", to: "2024-12-31"}', _FROM),
    ("a day with a time in quotes", 'statistics: {from: "2024-01-01T00:00:00", to: 2024-12-31}', _FROM),
    ("a day with a time", "statistics: {from: 2024-01-01T00:00:00Z, to: 2024-12-31}", _FROM),
    (
        "a range that ends before it begins",
        "statistics: {from: 2024-12-31, to: 2024-01-01}",
        "statistics.to: must not be before from",
    ),
    (
        "a 30th of February",
        "statistics: {from: 2024-01-01, to: 2024-02-30}",
        "statistics.to: expected a day such as 2024-12-31",
    ),
    ("a year zero", "statistics: {from: 0000-01-01, to: 2024-12-31}", _FROM),
    ("a 13th month", "statistics: {from: 2024-13-01, to: 2024-12-31}", _FROM),
    (
        "a range that begins within a month",
        "statistics: {from: 2026-08-15, to: 2026-10-31}",
        "statistics.from: must be the first day of a month, such as 2026-08-01",
    ),
    (
        "a range that ends within a month",
        "statistics: {from: 2026-08-01, to: 2026-10-03}",
        "statistics.to: must be the last day of a month, such as 2026-10-31",
    ),
    (
        "a range that misses a leap day",
        "statistics: {from: 2024-01-01, to: 2024-02-28}",
        "statistics.to: must be the last day of a month, such as 2024-02-29",
    ),
    (
        "a range that ends within the last month of all",
        "statistics: {from: 2024-01-01, to: 9999-12-30}",
        "statistics.to: must be the last day of a month, such as 9999-12-31",
    ),
]

TOO_SHORT_INTERVALS = [
    (
        "one account",
        "api_key: S3CR3T-K3Y\npoll_interval: 30s",
        "poll_interval: 1 account needs 3 requests a round, 4.9 a minute are possible: poll_interval must be at "
        "least 37s",
    ),
    (
        "one request",
        "api_key: S3CR3T-K3Y\npoll_interval: 12s\ncurrent_month: false\ncredits: false",
        "poll_interval: 1 account needs 1 request a round, 4.9 a minute are possible: poll_interval must be at "
        "least 13s",
    ),
    (
        "a lower limit",
        "api_key: S3CR3T-K3Y\npoll_interval: 1m\nrequests_per_minute: 1",
        "poll_interval: 1 account needs 3 requests a round, 0.9 a minute are possible: poll_interval must be at "
        "least 3m3s",
    ),
    (
        "90 accounts",
        accounts_in_yaml(90),
        "poll_interval: 90 accounts need 270 requests a round, 4.9 a minute are possible: poll_interval must be at "
        "least 55m",
    ),
    (
        "the limit for each key",
        "poll_interval: 36s\nlimit_scope: account\n"
        "accounts: [{name: one, api_key: S3CR3T-K3Y}, {name: other, api_key: S3CR3T-K3Y-2}]",
        "poll_interval: 1 account needs 3 requests a round, 4.9 a minute are possible: poll_interval must be at "
        "least 37s",
    ),
]
