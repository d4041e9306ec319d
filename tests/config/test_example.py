"""config.example.yaml names every key, holds the defaults, and works as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.config import loader
from exporter.config.accounts import KEY_VARIABLE
from exporter.config.schema import KEYS
from exporter.config.settings import Settings
from tests.config.files import KEY, complaint, settings_from, written
from tests.config.invalid_keys import NO_KEY
from tests.support.running import ROOT

EXAMPLE = ROOT / "config.example.yaml"


def uncommented(*keys: str) -> str:
    """The example with the commented lines of some keys, and what is indented below them, made active."""
    lines, active = [], False
    for line in EXAMPLE.read_text().splitlines():
        bare = line.removeprefix("# ")
        if line.startswith("# ") and not bare.startswith(" "):
            active = bare.partition(":")[0] in keys
        lines.append(bare if active else line)
    return "\n".join(lines)


def test_the_example_names_every_key() -> None:
    found = {
        depth: set(re.findall(rf"^(?:# )?{indent}([a-z_]+):(?: |$)", EXAMPLE.read_text(), re.MULTILINE))
        for depth, indent in {"": "", "accounts": "  (?:- |  )"}.items()
    }
    assert found == {"": set(KEYS[""]), "accounts": set(KEYS["accounts"])}
    first, last = KEYS["statistics"]
    assert re.search(rf"\{{{first}: \S+, {last}: \S+}}", EXAMPLE.read_text())


def test_the_example_holds_the_defaults() -> None:
    given_there = yaml.safe_load(EXAMPLE.read_text())
    assert set(given_there) == set(KEYS[""]) - {"api_key", "api_key_file", "monthly_budget", "accounts"}
    settings = loader.load(EXAMPLE, {KEY_VARIABLE: KEY})
    assert settings == Settings(settings.accounts)
    assert settings.accounts[0].monthly_budget is None


def test_the_example_needs_a_key() -> None:
    assert complaint(EXAMPLE) == f"{EXAMPLE}: {NO_KEY}"


def test_the_placeholder_of_the_example_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, uncommented("api_key"))
    assert complaint(path) == f"{path}: api_key: is a placeholder: give the key itself"


@pytest.mark.parametrize("keys", [("api_key_file", "monthly_budget"), ("api_key",), ("accounts",)])
def test_what_is_commented_out_in_the_example_is_valid(tmp_path: Path, keys: tuple[str, ...]) -> None:
    for name in ("smspartner_api_key", "marketing"):
        (tmp_path / name).write_text(KEY)
    text = uncommented(*keys).replace("/run/secrets", str(tmp_path)).replace("…", f"{KEY}-2")
    assert set(yaml.safe_load(text)) >= set(keys)
    settings = settings_from(tmp_path, text)
    assert [account.name for account in settings.accounts] == (
        ["marketing", "support"] if keys == ("accounts",) else [None]
    )
