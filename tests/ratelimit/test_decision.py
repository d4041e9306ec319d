"""When a request may go out: the whole decision as a table."""

import pytest

from exporter.ratelimit.decision import (
    LATEST_PLAUSIBLE,
    Permission,
    UnknownPast,
    Wait,
    WaitReason,
    decide,
    request_interval,
    settled,
    unanswered_interval,
)

NOW, TIMEOUT = 1000.0, 30.0
GO = Permission(NOW + TIMEOUT)


@pytest.mark.parametrize(
    ("requests_per_minute", "answered", "unanswered"), [(5, 12.2, 14.2), (2, 30.5, 32.5), (1, 61, 63)]
)
def test_the_intervals_follow_from_the_limit(
    requests_per_minute: int, answered: float, unanswered: float
) -> None:
    assert request_interval(requests_per_minute) == pytest.approx(answered)
    assert unanswered_interval(requests_per_minute) == pytest.approx(unanswered)


@pytest.mark.parametrize(
    ("own", "stored", "decision"),
    [
        pytest.param(None, None, UnknownPast(), id="an empty file"),
        pytest.param(900, None, UnknownPast(), id="the file was lost while running"),
        pytest.param(None, NOW + LATEST_PLAUSIBLE + 1, UnknownPast(), id="an instant no deadline explains"),
        pytest.param(900, NOW + LATEST_PLAUSIBLE + 1, UnknownPast(), id="the same, while running"),
        pytest.param(
            None, NOW + LATEST_PLAUSIBLE, Wait(1, WaitReason.ANOTHER_PROCESS), id="the last plausible instant"
        ),
        pytest.param(None, 900, GO, id="a restart after the interval"),
        pytest.param(None, NOW, GO, id="a restart at the instant"),
        pytest.param(
            None, NOW + 0.5, Wait(0.5, WaitReason.ANOTHER_PROCESS), id="a restart just before the instant"
        ),
        pytest.param(
            None, NOW + 40, Wait(1, WaitReason.ANOTHER_PROCESS), id="a restart during another's request"
        ),
        pytest.param(900, 900, GO, id="the interval is over"),
        pytest.param(NOW + 12, NOW + 12, Wait(12), id="the own interval runs: nobody brings it forward"),
        pytest.param(NOW + 12, NOW + 12 + 1e-6, Wait(12), id="the same, as rounded in the file"),
        pytest.param(900, NOW + 40, Wait(1, WaitReason.ANOTHER_PROCESS), id="another's request is under way"),
        pytest.param(NOW + 12, NOW + 40, Wait(1, WaitReason.ANOTHER_PROCESS), id="both"),
        pytest.param(NOW + 12, 900, Wait(12), id="an old file was put back"),
    ],
)
def test_with_a_lock_file(own: float | None, stored: float | None, decision: object) -> None:
    result = decide(NOW, own, stored, TIMEOUT, is_shared=True)
    if isinstance(decision, Wait):
        assert isinstance(result, Wait)
        assert result.seconds == pytest.approx(decision.seconds, abs=1e-5)
        assert result.reason is decision.reason
    else:
        assert result == decision


@pytest.mark.parametrize(
    ("own", "decision"),
    [(None, UnknownPast()), (900, GO), (NOW, GO), (NOW + 12, Wait(12)), (NOW + 500, Wait(500))],
)
def test_without_a_lock_file(own: float | None, decision: object) -> None:
    assert decide(NOW, own, None, TIMEOUT, is_shared=False) == decision


@pytest.mark.parametrize(
    ("own", "stored", "reserved", "final"),
    [
        pytest.param(1012, 1044, 1044, 1012, id="the own reservation is brought forward"),
        pytest.param(1012, 1044 + 1e-6, 1044, 1012, id="the same, as rounded in the file"),
        pytest.param(1012, 1090, 1044, 1090, id="another has reserved meanwhile"),
        pytest.param(1012, 1001, 1044, 1012, id="another's instant is earlier"),
    ],
)
def test_what_the_file_holds_after_a_request(
    own: float, stored: float, reserved: float, final: float
) -> None:
    assert settled(own, stored, reserved) == final
