"""Which accounts are polled, and with which key: from the configuration file or from the environment."""

from collections.abc import Mapping
from pathlib import Path

from exporter.config import values
from exporter.config.api_key import KeySource, describe_key_error, parse_key
from exporter.config.schema import AccountConfig, FileConfig
from exporter.config.settings import AccountSettings
from exporter.config.subaccounts import check_name, read_subaccounts
from exporter.secret import Secret
from exporter.validation import SchemaError, showable

KEY_VARIABLE = "SMSPARTNER_API_KEY"
KEY_FILE_VARIABLE = "SMSPARTNER_API_KEY_FILE"


def read_accounts(
    config: FileConfig, environment: Mapping[str, str], directory: Path
) -> tuple[AccountSettings, ...]:
    """Return the accounts with their keys. Relative key files start in `directory`. Raises SchemaError."""
    if config.accounts is None:
        return (AccountSettings(None, _single_key(config, environment, directory), _budget(config)),)
    accounts: list[AccountSettings] = []
    first_with_key: dict[Secret, str] = {}
    for path, account in _named_accounts(config).items():
        key = _account_key(path, account, directory)
        other = first_with_key.setdefault(key.read(), path)
        if other != path:
            raise SchemaError(
                path, f"has the same key as {other}, so every SMS would count twice: list each key once"
            )
        accounts.append(_named_account(path, account, key))
    return tuple(accounts)


def demo_accounts(config: FileConfig) -> tuple[AccountSettings, ...]:
    """Return the accounts with keys that the simulated API takes; no other key is read. Raises SchemaError."""
    if config.accounts is None:
        return (AccountSettings(None, KeySource(Secret("demo")), _budget(config)),)
    return tuple(
        _named_account(path, account, KeySource(Secret(f"demo-{account.name.encode().hex()}")))
        for path, account in _named_accounts(config).items()
    )


def _named_account(path: str, account: AccountConfig, key: KeySource) -> AccountSettings:
    return AccountSettings(account.name, key, _budget(account, path), read_subaccounts(path, account))


def _named_accounts(config: FileConfig) -> dict[str, AccountConfig]:
    """Return the list of accounts, by the path of each."""
    for name in ("api_key", "api_key_file", "monthly_budget"):
        if getattr(config, name) is not None:
            raise SchemaError(name, "cannot be set beside accounts: give each account its own")
    if not config.accounts:
        raise SchemaError("accounts", "is empty: list an account, or leave the key out")
    accounts = {f"accounts[{index}]": account for index, account in enumerate(config.accounts)}
    names: set[str] = set()
    for path, account in accounts.items():
        name = account.name
        check_name(f"{path}.name", name)
        if "/" in name:
            raise SchemaError(
                f"{path}.name", "must not contain /, which stands between an account and its sub-account"
            )
        if name in names:
            raise SchemaError(f"{path}.name", "another account has this name")
        names.add(name)
    return accounts


def _budget(config: FileConfig | AccountConfig, path: str | None = None) -> float | None:
    return values.budget(f"{path}.monthly_budget" if path else "monthly_budget", config.monthly_budget)


def _single_key(config: FileConfig, environment: Mapping[str, str], directory: Path) -> KeySource:
    key = _key("api_key", config.api_key, "api_key_file", config.api_key_file, directory) or _key(
        KEY_VARIABLE,
        environment.get(KEY_VARIABLE) or None,  # empty is as good as unset
        KEY_FILE_VARIABLE,
        environment.get(KEY_FILE_VARIABLE) or None,
        Path(),
    )
    if key is None:
        raise SchemaError(
            "",
            f"no API key: set api_key_file in the configuration, or {KEY_FILE_VARIABLE} or {KEY_VARIABLE} in the "
            "environment; --demo needs none",
        )
    return key


def _account_key(path: str, account: AccountConfig, directory: Path) -> KeySource:
    key = _key(f"{path}.api_key", account.api_key, f"{path}.api_key_file", account.api_key_file, directory)
    if key is None:
        raise SchemaError(path, "has no key: set api_key_file or api_key")
    return key


def _key(
    key_path: str, key: str | None, file_path: str, file: str | None, directory: Path
) -> KeySource | None:
    """Return the key from a value or a file; None if neither is set."""
    if key is not None and file is not None:
        raise SchemaError(file_path, f"is set beside {key_path.rpartition('.')[2]}: choose one")
    if key is not None:
        try:
            return KeySource(parse_key(key))
        except ValueError as error:
            raise SchemaError(key_path, str(error)) from None
    if file is not None:
        if not file:
            raise SchemaError(file_path, "is empty")
        try:
            return KeySource(directory / file)
        except (OSError, ValueError) as error:
            raise SchemaError(
                file_path, f"{_shown_path(directory, file)}: {describe_key_error(error)}"
            ) from None
    return None


def _shown_path(directory: Path, file: str) -> str:
    """Return the path that was tried. A relative one may be the key itself, put in the place of its file."""
    if file.startswith("/") and file.isprintable():
        return file
    is_path = all(part == showable(part) for part in Path(file).parts)
    return str(directory.absolute() / (file if is_path else "…"))
