"""What is done to real exporters while the provider counts."""

import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from exporter.simulator.api import SimulatedReply, refusal
from tests.stress.provider import Provider, Relay, Spoil
from tests.support.running import Running, Started


@dataclass
class Field:
    """Where an attack takes place."""

    started: Started
    provider: Provider
    state: Path
    seconds: float
    base_url: str
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    def configure(self, accounts: int = 100, timeout: str = "30s", **values: object) -> Path:
        """Write a configuration with which there is always something to ask."""
        config = self.state.parent / "config.yaml"
        named = [{"name": f"account-{number}", "api_key": f"test-key-{number}"} for number in range(accounts)]
        usual = {
            "base_url": self.base_url,
            "accounts": named,
            "poll_interval": f"{accounts * 37 + 37}s",
            "timeout": timeout,
        }
        config.write_text(json.dumps(usual | values))
        return config

    def exporter(
        self,
        accounts: int = 100,
        timeout: str = "30s",
        program: Sequence[str] = (sys.executable, "-m", "exporter"),
        **values: object,
    ) -> Running:
        """Start an exporter."""
        return self.started.command(
            *program,
            "--web.listen-address=127.0.0.1:0",
            f"--config.file={self.configure(accounts, timeout, **values)}",
            f"--state.dir={self.state}",
        )

    def wait(self, seconds: float) -> None:
        """Let time pass, until the end at the latest."""
        time.sleep(max(0.0, min(seconds, self._end - time.monotonic())))

    def wait_for_a_request(self, seconds: float) -> None:
        """Return as soon as the next request is under way; after so many seconds without one."""
        self.provider.under_way.clear()
        self.provider.under_way.wait(max(0.0, min(seconds, self._end - time.monotonic())))

    def rounds(self) -> Iterator[None]:
        """Go on until the end."""
        while time.monotonic() < self._end:
            yield


def steady(fire: Field, **values: Any) -> None:
    """Leave one exporter alone."""
    fire.exporter(**values)
    fire.wait(fire.seconds)


def two_processes(fire: Field) -> None:
    """Let two exporters share a state directory."""
    for _ in range(2):
        fire.exporter()
    fire.wait(fire.seconds)


def killed_at_random(fire: Field, lose_state: bool = False, timeout: str = "30s") -> None:
    """Kill the exporter every 0.5 to 20 s, and start it at once."""
    for _ in fire.rounds():
        running = fire.exporter(timeout=timeout)
        fire.wait(fire.dice.uniform(0.5, 20))
        running.end(signal.SIGKILL)
        if lose_state:
            shutil.rmtree(fire.state, ignore_errors=True)


def killed_while_asking(fire: Field, lose_state: bool = False, **values: Any) -> None:
    """Kill the exporter as soon as its request is under way, and start it at once."""
    for _ in fire.rounds():
        running = fire.exporter(**values)
        fire.wait_for_a_request(60)
        running.end(signal.SIGKILL)
        if lose_state:
            shutil.rmtree(fire.state, ignore_errors=True)


def stopped(fire: Field, seconds: float, timeout: str = "30s") -> None:
    """Stop one of two exporters in turn, half of the times while it may be asking, and let it go on."""
    both = [fire.exporter(timeout=timeout) for _ in range(2)]
    fire.wait(3)
    for _ in fire.rounds():
        fire.dice.shuffle(both)
        if fire.dice.random() < 0.5:
            fire.wait_for_a_request(60)
        else:
            fire.wait(fire.dice.uniform(1, 20))
        both[0].process.send_signal(signal.SIGSTOP)
        fire.wait(seconds)
        both[0].process.send_signal(signal.SIGCONT)


def reloaded(fire: Field) -> None:
    """Let the exporter read another configuration every 0.5 to 20 s."""
    running = fire.exporter()
    running.line("msg=listening", within=60)
    for _ in fire.rounds():
        fire.wait(fire.dice.uniform(0.5, 20))
        assert running.process.poll() is None
        fire.configure(fire.dice.randrange(20, 100), requests_per_minute=fire.dice.choice([5, 5, 5, 4]))
        running.process.send_signal(signal.SIGHUP)


def all_of_it(fire: Field) -> None:
    """Kill one of two exporters at random, with or without their state."""
    running = [fire.exporter(timeout="5s") for _ in range(2)]
    for _ in fire.rounds():
        fire.wait(fire.dice.uniform(0.5, 20))
        running.pop(fire.dice.randrange(2)).end(signal.SIGKILL)
        if fire.dice.random() < 0.3:
            shutil.rmtree(fire.state, ignore_errors=True)
        running.append(fire.exporter(timeout="5s"))


def no_reply(reply: SimulatedReply, dice: random.Random) -> None:
    """Never answer."""


def sometimes_none(reply: SimulatedReply, dice: random.Random) -> SimulatedReply | None:
    """Answer every second request."""
    return dice.choice([reply, None])


def too_many_requests(retry_after: int | None) -> Spoil:
    """Refuse everything with 429."""
    headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
    reply = replace(refusal(429, "Too many requests", status=429), headers=headers)
    return lambda *_: reply


Attack = Callable[[Field], None]


@dataclass(frozen=True)
class Scenario:
    """An attack, and the network and the provider it takes place at."""

    name: str
    attack: Attack
    inwards: tuple[float, float] = (0, 2)
    outwards: tuple[float, float] = (0, 0)
    spoil: Spoil = lambda reply, _: reply
    relayed: bool = False
    least_a_minute: float = 1.0
    """Fewer requests than that, and the attack shows nothing."""
    least_of_the_limit: float = 0.0
    least_of_the_permitted: float = 0.0
    """Of the requests that the rate limiter permits beside the network's own time."""
    least_between_two_of_a_key: float = 0.0
    limit_of_a_key: bool = False

    def run(self, started: Started, state: Path, seconds: float) -> tuple[Provider, float]:
        """Attack for so long. Return the provider, with all that arrived."""
        provider = Provider(1, (0, 0) if self.relayed else self.inwards, self.outwards, self.spoil)
        relay = Relay(provider.address, 2, self.inwards) if self.relayed else None
        begin = time.monotonic()
        self.attack(Field(started, provider, state, seconds, relay.base_url if relay else provider.base_url))
        started.end()
        time.sleep(max(self.inwards))  # for what is still under way
        if relay:
            relay.end()
        provider.end()
        return provider, time.monotonic() - begin


_AFAR = (0.0, 2.0)

_OF_A_KEY: Mapping[str, Any] = {"accounts": 4, "limit_scope": "account", "poll_interval": "37s"}

LONG = [
    Scenario(
        "100 accounts, answered within 0.5 s", steady, (0.05, 0.25), (0.05, 0.25), least_of_the_limit=0.95
    ),
    Scenario("100 accounts, 0 to 2 s to the provider", steady, least_of_the_permitted=0.95),
    Scenario(
        "100 accounts, 0 to 2 s there and 0 to 2 s back", steady, outwards=_AFAR, least_of_the_permitted=0.95
    ),
    Scenario("two processes on one state directory", two_processes, least_a_minute=4),
    Scenario("`kill -9` every 0.5 to 20 s", partial(killed_at_random, timeout="5s")),
    Scenario("`kill -9` every 0.5 to 20 s, state deleted", partial(killed_at_random, lose_state=True)),
    Scenario("`kill -9` while asking", killed_while_asking),
    Scenario(
        "`kill -9` while asking, state deleted",
        partial(killed_while_asking, lose_state=True),
        least_a_minute=3,
    ),
    Scenario(
        "`kill -9` while asking, state deleted, a relay that delivers after the kill",
        partial(killed_while_asking, lose_state=True),
        relayed=True,
        least_a_minute=3,
    ),
    Scenario("no reply within 5 s", partial(steady, timeout="5s"), spoil=no_reply, least_a_minute=2),
    Scenario("half of the requests arriving after their timeout", partial(steady, timeout="1s")),
    Scenario(
        "every second reply missing, a relay that delivers after the timeout",
        partial(steady, timeout="5s"),
        outwards=_AFAR,
        spoil=sometimes_none,
        relayed=True,
    ),
    Scenario(
        "429", partial(steady, accounts=8), spoil=too_many_requests(None), least_between_two_of_a_key=61
    ),
    Scenario(
        "429 with `Retry-After: 1`",
        partial(steady, accounts=8),
        spoil=too_many_requests(1),
        least_between_two_of_a_key=61,
    ),
    Scenario(
        "429 with `Retry-After: 90`",
        partial(steady, accounts=8),
        spoil=too_many_requests(90),
        least_between_two_of_a_key=90,
    ),
    Scenario("reloaded with another configuration every 0.5 to 20 s", reloaded, least_a_minute=3),
    Scenario(
        "`limit_scope: account`, 4 keys", partial(steady, **_OF_A_KEY), least_a_minute=12, limit_of_a_key=True
    ),
    Scenario(
        "`limit_scope: account`, 4 keys, `kill -9` while asking, state deleted",
        partial(killed_while_asking, lose_state=True, **_OF_A_KEY),
        limit_of_a_key=True,
    ),
    Scenario("two processes, one at a time stopped for 70 s", partial(stopped, seconds=70)),
    Scenario(
        "two processes killed at random, state deleted at random, replies missing",
        all_of_it,
        spoil=sometimes_none,
    ),
]
"""What `make fire` does, each for ten minutes."""

SHORT = [
    Scenario("killed at random", partial(killed_at_random, timeout="1s")),
    Scenario(
        "killed while asking, state deleted", partial(killed_while_asking, lose_state=True), least_a_minute=2
    ),
    Scenario("two processes", two_processes, least_a_minute=3),
    Scenario("stopped", partial(stopped, seconds=20, timeout="5s")),
]
"""What `make test` does, where only real time shows it."""
