"""Fixtures that several test modules use."""

from collections.abc import Iterator

import hypothesis
import pytest

from tests.fakes import FakeClock
from tests.running import Started

# A busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def started() -> Iterator[Started]:
    """Start real processes; they are ended with the test."""
    processes = Started()
    yield processes
    processes.end()
