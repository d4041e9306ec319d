"""The API key in the environment, alone and beside a configuration file."""

from pathlib import Path

import pytest

from exporter.config import loader
from exporter.config.accounts import KEY_FILE_VARIABLE, KEY_VARIABLE
from exporter.config.settings import Settings
from tests.config.files import KEY, assert_safe, complaint, settings_from, written
from tests.config.invalid_keys import NO_KEY


@pytest.mark.parametrize(
    "environment",
    [
        {KEY_VARIABLE: KEY},
        {KEY_VARIABLE: f"{KEY}\n"},
        {KEY_VARIABLE: KEY, KEY_FILE_VARIABLE: ""},
        {KEY_FILE_VARIABLE: "keys/plain"},
        {KEY_FILE_VARIABLE: "keys/bom", KEY_VARIABLE: ""},
    ],
)
def test_the_key_is_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    written(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    settings = loader.load(None, environment)
    assert settings.accounts[0].key.read().reveal() == KEY
    assert settings == Settings(settings.accounts)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, NO_KEY),
        ({KEY_VARIABLE: "", KEY_FILE_VARIABLE: ""}, NO_KEY),
        ({KEY_VARIABLE: "S3CR3T K3Y"}, f"environment: {KEY_VARIABLE}: contains whitespace"),
        ({KEY_VARIABLE: " "}, f"environment: {KEY_VARIABLE}: is empty"),
        (
            {KEY_FILE_VARIABLE: "/no/file"},
            f"environment: {KEY_FILE_VARIABLE}: /no/file: no such file or directory",
        ),
        (
            {KEY_FILE_VARIABLE: KEY},
            f"environment: {KEY_FILE_VARIABLE}: {Path.cwd()}/…: no such file or directory",
        ),
        (
            {KEY_VARIABLE: KEY, KEY_FILE_VARIABLE: "/no/file"},
            f"environment: {KEY_FILE_VARIABLE}: is set beside {KEY_VARIABLE}: choose one",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(environment: dict[str, str], message: str) -> None:
    assert complaint(None, **environment) == message
    assert_safe(message)


def test_the_environment_is_blamed_also_if_there_is_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, "credits: false\n")
    assert (
        complaint(path, **{KEY_VARIABLE: "S3CR3T K3Y"}) == f"environment: {KEY_VARIABLE}: contains whitespace"
    )


@pytest.mark.parametrize(
    "content",
    [
        f"api_key: {KEY}",
        "api_key_file: keys/plain",
        f"accounts: [{{name: marketing, api_key: {KEY}}}]",
    ],
)
def test_a_key_in_the_file_wins_over_the_environment(tmp_path: Path, content: str) -> None:
    environment = {KEY_VARIABLE: "another-key", KEY_FILE_VARIABLE: "/no/such/file"}
    assert settings_from(tmp_path, content, **environment).accounts[0].key.read().reveal() == KEY


def test_an_account_does_not_fall_back_on_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, "accounts: [{name: marketing}]")
    message = f"{path}: accounts[0]: has no key: set api_key_file or api_key"
    assert complaint(path, **{KEY_VARIABLE: KEY}) == message
