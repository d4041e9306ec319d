"""Clients that end thousands of connections do not kill a container of 64 MB: `make check-container`, `make fire-web`.

Its Python is 3.13, whose garbage collector runs later than those before it.
"""

import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.deploy.container.engine import Engine
from tests.deploy.container.running import Container, mounted_web_files
from tests.support.endings import (
    KINDS_OF_ENDING,
    PROTECTIONS,
    Memory,
    Protection,
    check_memory,
    end_connection,
    measure,
)
from tests.support.running import ROOT, eventually
from tests.support.web_security import WebFiles

CONNECTIONS = 1000
UNCOLLECTED = (ROOT / "tests" / "support" / "uncollected.py").read_text()
MINUTES = 10
A_SECOND = 40


class Attacked(Container):
    """A container to which clients connect."""

    def __init__(
        self, podman: Engine, directory: Path, protection: Protection, program: tuple[str, ...] = ()
    ) -> None:
        self.context = protection.write(WebFiles(directory))
        volume, flag = mounted_web_files(directory)
        super().__init__(podman, "--demo", flag, options=(volume,), program=program)
        eventually(lambda: "msg=listening" in self.output(), within=30)

    def memory(self) -> Memory:
        return measure(self.output, lambda: self.podman("kill", "--signal=USR1", self.name))


@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
def test_endings_leave_neither_memory_nor_an_object_behind_without_garbage_collection(
    podman: Engine, tmp_path: Path, protection: Protection
) -> None:
    attacked = Attacked(podman, tmp_path, protection, program=("-c", UNCOLLECTED))
    check_memory(attacked.port, attacked.context, CONNECTIONS, attacked.memory)
    assert attacked.is_alive()


@pytest.mark.fire
def test_containers_of_64_mb_outlive_ten_minutes_of_endings(podman: Engine, tmp_path: Path) -> None:
    containers = []
    for protection in PROTECTIONS:
        directory = tmp_path / str(protection).replace(" ", "-")
        directory.mkdir()
        containers.append(Attacked(podman, directory, protection))
    ending = cycle(KINDS_OF_ENDING)
    for _ in seconds(MINUTES * 60):
        for moment, reset in (next(ending) for _ in range(A_SECOND)):
            for attacked in containers:
                end_connection(attacked.port, moment, attacked.context, reset)
    for attacked in containers:
        assert attacked.is_alive(), attacked.output()


def seconds(count: int) -> Iterator[int]:
    """Yield a number at the beginning of each second, so many of them."""
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number - time.monotonic()))
        yield number
