import pytest

from exporter.model import Failure, Poll, Reason
from exporter.polling.schedule import after_failure, after_success, due_by, not_before


def delays(reason: Reason, count: int, retry_after: float | None = None) -> list[float]:
    poll, found = Poll(due=0), []
    for _ in range(count):
        poll = after_failure(poll, Failure(reason, "why", retry_after), now=100)
        found.append(poll.due - 100)
    return found


def test_a_success_is_asked_again_after_the_interval_from_its_start() -> None:
    assert after_success(started=100, poll_interval=900) == Poll(due=1000, succeeded=True)


@pytest.mark.parametrize(
    "reason", [Reason.SERVER_ERROR, Reason.UNREACHABLE, Reason.TIMEOUT, Reason.INVALID_REPLY]
)
def test_a_failure_is_tried_again_after_1_2_4_up_to_10_minutes(reason: Reason) -> None:
    assert delays(reason, 6) == [60, 120, 240, 480, 600, 600]


def test_failures_for_months_do_not_overflow() -> None:
    assert delays(Reason.TIMEOUT, 3000)[-1] == 600


@pytest.mark.parametrize("reason", [Reason.KEY_REJECTED, Reason.ACCESS_DENIED])
def test_what_does_not_heal_by_itself_is_tried_once_an_hour(reason: Reason) -> None:
    assert delays(reason, 3) == [3600, 3600, 3600]


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (None, [61, 120, 240]),
        (0, [61, 120, 240]),
        (90, [90, 120, 240]),
        (1800, [1800] * 3),
        (10**9, [3600] * 3),
    ],
)
def test_over_the_limit_the_provider_says_how_long(retry_after: float | None, expected: list[float]) -> None:
    assert delays(Reason.RATE_LIMITED, 3, retry_after) == expected


def test_a_failure_remembers_why() -> None:
    poll = after_failure(Poll(due=0), Failure(Reason.TIMEOUT, "no reply"), now=1)
    assert (poll.succeeded, poll.reason, poll.detail) == (False, Reason.TIMEOUT, "no reply")


def test_moving_a_poll() -> None:
    assert not_before(Poll(due=5), 10).due == 10
    assert not_before(Poll(due=15), 10).due == 15
    assert due_by(Poll(due=5), 10).due == 5
    assert due_by(Poll(due=15), 10).due == 10
