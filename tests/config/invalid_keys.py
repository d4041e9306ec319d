"""Keys that are refused, of the API, of accounts and of the file: what it is about, the YAML, the message."""

_NAME = "accounts[0].name: expected 1 to 64 printable characters, without spaces around them"
_OWN = "cannot be set beside accounts: give each account its own"
_NO_TEXT = "has a key that is not text: put it in quotes"
NO_KEY = (
    "no API key: set api_key_file in the configuration, or SMSPARTNER_API_KEY_FILE or SMSPARTNER_API_KEY in the "
    "environment; --demo needs none"
)
_KNOWN = (
    "known here: api_key, api_key_file, base_url, poll_interval, statistics, current_month, credits, "
    "monthly_budget, requests_per_minute, limit_scope, timeout, accounts"
)

INVALID_API_KEYS = [
    ("none", "credits: false", NO_KEY),
    ("empty text", 'api_key: ""', "api_key: is empty"),
    ("a list", "api_key: [S3CR3T-K3Y]", "api_key: expected the key as text"),
    ("a space inside", 'api_key: "S3CR3T K3Y"', "api_key: contains whitespace"),
    ("a line break inside", r'api_key: "S3CR3T\nK3Y"', "api_key: contains whitespace"),
    ("a control character", r'api_key: "S3CR3T-K3Y\x00"', "api_key: contains an unprintable character"),
    (
        "a value and a file",
        "api_key: S3CR3T-K3Y\napi_key_file: keys/plain",
        "api_key_file: is set beside api_key: choose one",
    ),
    ("a list of files", "api_key_file: [a, b]", "api_key_file: expected the path of a file"),
    ("empty text for the file", 'api_key_file: ""', "api_key_file: is empty"),
    (
        "no such file",
        "api_key_file: keys/no-such-file",
        "api_key_file: {directory}/keys/no-such-file: no such file or directory",
    ),
    (
        "no such file, by its whole path",
        "api_key_file: /no/such/file",
        "api_key_file: /no/such/file: no such file or directory",
    ),
    (
        "the key in place of its file",
        "api_key_file: S3CR3T-K3Y",
        "api_key_file: {directory}/…: no such file or directory",
    ),
    ("a directory", "api_key_file: keys", "api_key_file: {directory}/keys: is a directory"),
    ("an empty file", "api_key_file: keys/empty", "api_key_file: {directory}/keys/empty: is empty"),
    (
        "a file that is not UTF-8",
        "api_key_file: keys/latin",
        "api_key_file: {directory}/keys/latin: is not UTF-8 text",
    ),
    (
        "a file that is too long",
        "api_key_file: keys/too-long",
        "api_key_file: {directory}/keys/too-long: is too long for a key file",
    ),
    (
        "a file of two words",
        "api_key_file: keys/two-words",
        "api_key_file: {directory}/keys/two-words: contains whitespace",
    ),
]

INVALID_ACCOUNTS = [
    ("an empty list", "accounts: []", "accounts: is empty: list an account, or leave the key out"),
    (
        "a word",
        "accounts: marketing",
        "accounts: expected a list of accounts, each with a name and a key",
    ),
    (
        "names as keys",
        "accounts: {marketing: {api_key: S3CR3T-K3Y}}",
        "accounts: expected a list of accounts, each with a name and a key",
    ),
    ("a name alone", "accounts: [marketing]", "accounts[0]: expected an account: a name and a key"),
    ("no name", "accounts: [{api_key: S3CR3T-K3Y}]", "accounts[0].name: is missing"),
    ("an empty name", 'accounts: [{name: "", api_key: S3CR3T-K3Y}]', _NAME),
    ("a name with a space before it", 'accounts: [{name: " marketing", api_key: S3CR3T-K3Y}]', _NAME),
    ("a name that is too long", f"accounts: [{{name: {'x' * 65}, api_key: S3CR3T-K3Y}}]", _NAME),
    ("a name of two lines", r'accounts: [{name: "mark\neting", api_key: S3CR3T-K3Y}]', _NAME),
    (
        "a name that is a list",
        "accounts: [{name: [a, b], api_key: S3CR3T-K3Y}]",
        "accounts[0].name: expected the name as text",
    ),
    (
        "a key given to two accounts",
        "accounts: [{name: a, api_key: S3CR3T-K3Y}, {name: b, api_key_file: keys/plain}]",
        "accounts[1]: has the same key as accounts[0], so every SMS would count twice: list each key once",
    ),
    (
        "a name given twice",
        "accounts: [{name: a, api_key: S3CR3T-K3Y}, {name: a, api_key: S3CR3T-K3Y}]",
        "accounts[1].name: another account has this name",
    ),
    (
        "no key",
        "accounts: [{name: marketing}]",
        "accounts[0]: has no key: set api_key_file or api_key",
    ),
    (
        "a key with a space inside",
        'accounts: [{name: marketing, api_key: "S3CR3T K3Y"}]',
        "accounts[0].api_key: contains whitespace",
    ),
    (
        "a key and a key file",
        "accounts: [{name: marketing, api_key: S3CR3T-K3Y, api_key_file: keys/plain}]",
        "accounts[0].api_key_file: is set beside api_key: choose one",
    ),
    (
        "no such key file",
        "accounts: [{name: a, api_key: S3CR3T-K3Y}, {name: b, api_key_file: keys/no-such-file}]",
        "accounts[1].api_key_file: {directory}/keys/no-such-file: no such file or directory",
    ),
    (
        "a budget of zero",
        "accounts: [{name: marketing, api_key: S3CR3T-K3Y, monthly_budget: 0}]",
        "accounts[0].monthly_budget: expected a number above 0 in the account's currency, such as 500 or "
        "499.50; leave it out if there is no budget",
    ),
    (
        "a budget beside accounts",
        "{monthly_budget: 500, accounts: [{name: a, api_key: S3CR3T-K3Y}]}",
        f"monthly_budget: {_OWN}",
    ),
    (
        "a key beside accounts",
        "{api_key: S3CR3T-K3Y, accounts: [{name: a, api_key: S3CR3T-K3Y}]}",
        f"api_key: {_OWN}",
    ),
    (
        "a key file beside accounts",
        "{api_key_file: keys/plain, accounts: [{name: a, api_key: S3CR3T-K3Y}]}",
        f"api_key_file: {_OWN}",
    ),
]

UNKNOWN_KEYS = [
    ("a word", "intervall: 15m", "intervall: unknown key; did you mean poll_interval?"),
    ("a letter too few", "pol_interval: 15m", "pol_interval: unknown key; did you mean poll_interval?"),
    ("the API's own spelling", "apikey: S3CR3T-K3Y", "apikey: unknown key; did you mean api_key?"),
    ("the API key itself", "S3CR3T-K3Y: true", f"…: unknown key; {_KNOWN}"),
    ("two lines", r'"two\nlines": 1', f"…: unknown key; {_KNOWN}"),
    ("a number", "2024: true", f"…: unknown key; {_KNOWN}"),
    ("null", "null: true", _NO_TEXT),
    ("null in an account", "accounts: [{name: a, ~: true}]", f"accounts[0]: {_NO_TEXT}"),
    (
        "a letter too few in an account",
        "accounts: [{name: a, monthly_budge: 200}]",
        "accounts[0].monthly_budge: unknown key; did you mean monthly_budget?",
    ),
    (
        "a key of the top level in an account",
        "accounts: [{name: a, poll_interval: 1h}]",
        "accounts[0].poll_interval: unknown key; known here: name, api_key, api_key_file, monthly_budget, "
        "subaccounts, subaccount_names, subaccount_budgets",
    ),
    (
        "a word in a range",
        "statistics: {from: 2024-01-01, til: 2024-12-31}",
        "statistics.til: unknown key; known here: from, to",
    ),
]

KEYS_GIVEN_TWICE = [
    ("an API key", "api_key: S3CR3T-K3Y\napi_key: S3CR3T-K3Y", "line 2, column 1: api_key: given twice"),
    ("an option", "timeout: 30s\ntimeout: 60s", "line 2, column 1: timeout: given twice"),
    ("what may be a secret", "S3CR3T-K3Y: 1\nS3CR3T-K3Y: 2", "line 2, column 1: …: given twice"),
    (
        "a key in an account",
        "accounts:\n  - monthly_budget: 100\n    monthly_budget: 200",
        "line 3, column 5: monthly_budget: given twice",
    ),
    (
        "the beginning of a range",
        "statistics: {from: 2024-01-01, from: 2024-12-31}",
        "line 1, column 32: from: given twice",
    ),
]
