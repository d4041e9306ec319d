"""Files that are no configuration at all: what it is about, the content, the message."""

from tests.config.invalid_keys import NO_KEY

NO_MAPPING = [
    ("an empty file", "", NO_KEY),
    ("a list", "- api_key: S3CR3T-K3Y", "expected keys and values, as in config.example.yaml"),
    ("text", "S3CR3T-K3Y", "expected keys and values, as in config.example.yaml"),
    ("no end of brackets", f"accounts: {'[' * 5000}", "is nested too deeply"),
    ("a list in itself", "accounts: &a [*a]", "accounts[0]: expected an account: a name and a key"),
]

WRONG_BYTES = [
    ("Latin-1", b"api_key: S3CR3T-K3Y\xe9", "is not UTF-8 text"),
    ("UTF-16", "api_key: S3CR3T-K3Y".encode("utf-16"), "is not UTF-8 text"),
    ("a NUL", b"api_key: S3CR3T-K3Y\0", "character U+0000 is not allowed in YAML"),
    ("a bell", b"api_key: S3CR3T-K3Y\a", "character U+0007 is not allowed in YAML"),
]

BROKEN_YAML = [
    ("an alias without an anchor", "api_key: *S3CR3T-K3Y", "line 1, column 10"),
    ("two anchors", "api_key: &S3CR3T-K3Y &b x", "line 1, column 22"),
    ("an at sign", "api_key: @S3CR3T-K3Y", "line 1, column 10"),
    ("a percent sign", "api_key: %S3CR3T-K3Y", "line 1, column 10"),
    ("an open bracket", "accounts: [{name: a, api_key: S3CR3T-K3Y", "line 1, column 41"),
    ("an open quote", 'api_key: "S3CR3T-K3Y\ntimeout: 30s', "line 2, column 13"),
    ("two colons", "api_key: S3CR3T-K3Y: x", "line 1, column 20"),
    ("no colon", "api_key S3CR3T-K3Y\ntimeout: 30s", "line 2, column 8"),
    ("an indented key", "api_key: S3CR3T-K3Y\n  timeout: 30s", "line 2, column 10"),
    ("a tab", "api_key:\tS3CR3T-K3Y\n\ttimeout: 30s", "line 1, column 9"),
    ("an unknown escape", r'api_key: "S3CR3T-K3Y\q"', "line 1, column 22"),
    ("a directive", "%YAML S3CR3T-K3Y\n---\napi_key: S3CR3T-K3Y", "line 1, column 7"),
    ("a merge of text", "<<: S3CR3T-K3Y", "line 1, column 5"),
    ("a merge of a list of text", "<<: [S3CR3T-K3Y]", "line 1, column 6"),
    ("a second document", "api_key: S3CR3T-K3Y\n---\napi_key: S3CR3T-K3Y", "line 2, column 1"),
    ("a list as a key", "[a, b]: true", "line 1, column 1"),
    ("a mapping as a key", "? {S3CR3T-K3Y: 1}\n: x", "line 1, column 3"),
    ("an unknown tag", "api_key: !S3CR3T-K3Y x", "line 1, column 10"),
    (
        "a tag of Python's",
        'api_key: !!python/object/apply:os.system ["echo S3CR3T-K3Y"]',
        "line 1, column 10",
    ),
    ("text tagged as a mapping", "!!map S3CR3T-K3Y", "line 1, column 1"),
    ("text tagged as a number", "requests_per_minute: !!int S3CR3T-K3Y", "line 1, column 22"),
    ("text tagged as a boolean", "credits: !!bool maybe", "line 1, column 10"),
]
