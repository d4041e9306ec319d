"""The command line: what it takes, what it refuses, and how it ends. It shows no value that may be the key."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from exporter import __version__, log
from exporter.arguments import state_dir
from exporter.cli import main, parser
from exporter.config.accounts import KEY_FILE_VARIABLE, KEY_VARIABLE
from exporter.config.loader import ConfigError
from exporter.web.server import listen
from tests.support.running import ROOT, Started

KEY = "S3CR3T-K3Y"
ENDING = "; see smspartner-exporter --help\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(restored: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; give its status and what it wrote."""
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def run_now(*words: str) -> tuple[int, str, str]:
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        log.flush()
        output, errors = capsys.readouterr()
        assert KEY not in output + errors
        assert "Traceback" not in errors
        return status, output, errors

    return run_now


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((KEY,), "unexpected argument: the only commands are run, the default, and backfill"),
        (("run", KEY), "unexpected argument"),
        ((f"--api-key={KEY}",), "unknown flag --api-key"),
        (("--api-key", KEY), "unknown flag --api-key"),
        (("run", "--api-key", KEY), "unknown flag --api-key"),
        ((f"--{KEY}",), "unexpected argument"),
        ((f"-{KEY}",), "unexpected argument"),
        ((f"--config.check={KEY}",), "argument --config.check: takes no value"),
        ((f"--demo={KEY}",), "argument --demo: takes no value"),
        (("--config",), "unknown flag --config"),
        (("--conf", "x"), "unknown flag --conf"),
        (("--web.listen", ":1"), "unknown flag --web.listen"),
        (("--log.level", "verbose"), "argument --log.level: expected debug, info, warning, error"),
        (("--log.level=info", "--log.level=info"), "argument --log.level: given twice"),
        (("--config.file=a", "--config.file", "b"), "argument --config.file: given twice"),
        (("--demo", "run", "--demo"), "argument --demo: given twice"),
        (("--config.check", "--config.check"), "argument --config.check: given twice"),
        (("--log.format", KEY), "argument --log.format: expected logfmt, json"),
        (("--config.file",), "argument --config.file: expected one argument"),
        (
            ("--web.listen-address=10035",),
            "argument --web.listen-address: '10035' is not [HOST]:PORT, such as :10035 or 127.0.0.1:10035",
        ),
        (
            ("--web.listen-address", "::1:80"),
            "argument --web.listen-address: '::1:80': write an IPv6 address in brackets, such as [::1]:10035",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run: Run, words: tuple[str, ...], message: str) -> None:
    assert run(*words) == (2, "", f"smspartner-exporter: {message}{ENDING}")


@pytest.mark.parametrize("path", ["metrics", "/-/ready", "/-/", "/two words", "/a?b", "/a#b", "/%41", "/a\n"])
def test_a_telemetry_path_that_nothing_could_ask_for_is_refused(run: Run, path: str) -> None:
    message = f"argument --web.telemetry-path: {path!r} is not a path such as /metrics"
    assert run("--web.telemetry-path", path) == (2, "", f"smspartner-exporter: {message}{ENDING}")


@pytest.mark.parametrize("path", ["/metrics", "/", "/a/b", "/-x"])
def test_any_other_telemetry_path_is_accepted(path: str) -> None:
    assert parser().parse([f"--web.telemetry-path={path}"]).telemetry_path == path


def test_no_flags_mean_the_defaults() -> None:
    flags = parser().parse([])
    assert (flags.command, flags.listen_addresses, flags.telemetry_path) == ("run", [("", 10035)], "/metrics")
    assert (flags.log_level, flags.log_format, flags.demo, flags.config_check) == (
        "info",
        "logfmt",
        False,
        False,
    )


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"smspartner-exporter {__version__}\n", "")


def test_help_names_every_flag(run: Run) -> None:
    status, output, errors = run("--help")
    assert (status, errors) == (0, "")
    flags = "config.file config.check web.listen-address web.telemetry-path state.dir demo log.level log.format version"
    for flag in flags.split():
        assert f"--{flag}" in output
    for default in (
        ":10035",
        "/metrics",
        "$STATE_DIRECTORY",
        "$XDG_STATE_HOME",
        "~/.local/state",
        "info",
        "logfmt",
    ):
        assert default in output


@pytest.mark.parametrize("empty", [("--{}=",), ("--{}", "")])
def test_a_flag_with_an_empty_value_counts_as_not_given(empty: tuple[str, ...]) -> None:
    """Templates leave it so."""
    names = "config.file web.listen-address web.telemetry-path web.config.file state.dir log.level log.format"
    words = [word.format(name) for name in names.split() for word in empty]
    assert parser().parse(words) == parser().parse([])


@pytest.mark.parametrize(
    ("text", "level"),
    [("warn", "warning"), ("WARN", "warning"), ("Warning", "warning"), ("INFO", "info"), ("Error", "error")],
)
def test_a_log_level_is_taken_in_any_case_and_warn_for_warning(text: str, level: str) -> None:
    assert parser().parse([f"--log.level={text}"]).log_level == level


def test_several_listen_addresses_are_all_taken() -> None:
    words = ["--web.listen-address=:1", "--web.listen-address", "[::1]:2", "--web.listen-address="]
    assert parser().parse(words).listen_addresses == [("", 1), ("::1", 2)]


@pytest.mark.journey
def test_it_serves_on_every_listen_address(started: Started, tmp_path: Path) -> None:
    exporter = started.exporter("--demo", "--web.listen-address=127.0.0.2:0", f"--state.dir={tmp_path}")
    first, second = exporter.line(r'msg=listening .*\baddress="(\S+) (\S+)"').groups()
    assert first.startswith("127.0.0.1:")
    assert second.startswith("127.0.0.2:")
    for address in (first, second):
        assert requests.get(f"http://{address}/-/healthy", timeout=10).text == "healthy\n"
    assert exporter.end() == 0


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://api.example/v1", True),
        ("http://10.0.0.1/v1", True),
        ("HTTP://api.example", True),
        ("http://localhost.example", True),
        ("https://api.example/v1", False),
        ("http://127.0.0.1:8080", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:8080", False),
        ("http://localhost:8080/v1", False),
    ],
)
def test_a_check_warns_of_a_key_in_clear_text(run: Run, tmp_path: Path, url: str, warned: bool) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"{{base_url: '{url}', api_key: {KEY}}}")
    status, output, errors = run("--config.check", f"--config.file={config}")
    assert (status, output.partition(":")[0]) == (0, "configuration is fine")
    assert ('level=warning msg="base_url is http to ' in errors) == warned


@pytest.mark.parametrize("command", [(), ("run",)])
def test_a_check_of_a_valid_configuration_is_status_0(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    example = str(ROOT / "config.example.yaml")
    assert run(*command, "--config.check", "--config.file", example) == (
        0,
        "configuration is fine: 1 account, 3 requests every 15m, at most 5 a minute\n",
        "",
    )


def test_a_check_counts_the_accounts(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"accounts: [{{name: a, api_key: {KEY}}}, {{name: b, api_key: {KEY}-2}}]")
    status, output, _ = run("--config.check", f"--config.file={config}")
    assert (status, output.partition(", at most")[0]) == (
        0,
        "configuration is fine: 2 accounts, 6 requests every 15m",
    )


def test_a_demo_needs_no_key(run: Run) -> None:
    assert run("--demo", "--config.check")[0] == 0


def test_signal_handlers_are_untouched_until_it_serves(run: Run) -> None:
    """Only there can a process end at once, and so that a second signal does no harm."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    handlers = [signal.getsignal(number) for number in numbers]
    assert run("--demo", "--config.check")[0] == 0
    assert [signal.getsignal(number) for number in numbers] == handlers


@pytest.mark.parametrize("words", [(), ("--config.check",), ("run", "--web.listen-address=127.0.0.1:0")])
def test_without_a_key_it_does_not_start(run: Run, words: tuple[str, ...]) -> None:
    status, output, errors = run(*words)
    assert (status, output) == (1, "")
    assert errors.startswith("smspartner-exporter: no API key: set api_key_file in the configuration, or ")
    assert errors.count("\n") == 1


def test_an_invalid_configuration_is_one_line_and_status_1(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("intervall: 15m")
    message = f"smspartner-exporter: {path}: intervall: unknown key; did you mean poll_interval?\n"
    assert run(f"--config.file={path}") == run("--config.check", f"--config.file={path}") == (1, "", message)


def test_a_port_in_use_is_one_line_and_status_1(run: Run, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert run("--demo", f"--web.listen-address={address}", f"--state.dir={tmp_path}") == (
            1,
            "",
            f"smspartner-exporter: cannot listen on {address}: address already in use; choose another with "
            "--web.listen-address\n",
        )


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a"}, "/var/lib/a"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/xdg"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/xdg", "HOME": "/home/me"}, "/xdg/smspartner-exporter"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/smspartner-exporter"),
        ({"XDG_STATE_HOME": "", "STATE_DIRECTORY": "", "HOME": "/"}, "/.local/state/smspartner-exporter"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/smspartner-exporter"),
    ],
)
def test_the_state_directory_is_the_first_that_is_set(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], directory: str
) -> None:
    monkeypatch.setenv("HOME", environment.get("HOME", "/nobody"))
    assert state_dir(None, environment) == Path(directory)
    assert state_dir(Path("given"), environment) == Path("given")


def test_a_user_without_a_home_directory_is_told_to_name_a_state_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(ConfigError, match="no home directory to keep the state in: name a directory with"):
        state_dir(None, {})


@pytest.mark.journey
@pytest.mark.parametrize(
    "command", [(sys.executable, "-m", "exporter"), (Path(sys.executable).parent / "smspartner-exporter",)]
)
def test_the_command_and_the_module_are_the_same(started: Started, command: tuple[str | Path, ...]) -> None:
    assert started.command(*command, "--version").line("^smspartner-exporter ")
    refused = started.command(*command, f"--api-key={KEY}")
    assert refused.process.wait(30) == 2
    refused = started.command(*command)
    assert refused.process.wait(30) == 1
    refused.line("^smspartner-exporter: no API key: ")
    assert len(refused.lines) == 1


@pytest.mark.parametrize(
    "words", ["--demo run --log.level=debug", "run --demo --log.level=debug", "--demo --log.level=debug"]
)
def test_flags_of_run_go_before_and_after_it(words: str) -> None:
    flags = parser().parse(words.split())
    assert (flags.command, flags.demo, flags.log_level) == ("run", True, "debug")


def test_backfill_after_a_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--demo", "backfill"])
    assert ended.value.code == 2
    assert "backfill goes before all flags" in capsys.readouterr().err
