"""Fixtures that several test modules use."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import FakeClock
from tests.running import Started

# How long an example takes says something of the machine's load, and nothing of the product.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def started() -> Iterator[Started]:
    """Start real processes; they are ended with the test."""
    processes = Started()
    yield processes
    processes.end()
