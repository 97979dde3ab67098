"""When a refresh that failed is tried again, and what is said of it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prices.coordination.retries import (
    LONGEST_ASKED,
    OLD_RELEASE,
    REFRESHED_AHEAD,
    again_at,
    next_run,
    wait_after,
    waits_until,
)

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
TEN_MINUTES, HOURS, LEASE = timedelta(minutes=10), timedelta(hours=3), timedelta(seconds=60)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def seconds(failures: int, retry_after: float = 0.0, jitter: float = 1.0) -> float:
    return wait_after(failures, TEN_MINUTES, retry_after, jitter).total_seconds()


def test_the_wait_doubles_until_it_is_as_long_as_it_may_be() -> None:
    assert [seconds(failures) for failures in range(9)] == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_half_of_the_wait_is_by_chance() -> None:
    assert [seconds(2, jitter=jitter) for jitter in (0.0, 0.5, 1.0)] == [20, 30, 40]


def test_after_an_outage_of_weeks_the_wait_is_still_ten_minutes() -> None:
    assert seconds(100_000) == 600


@pytest.mark.parametrize("asked", [30, 601, 3600, 7 * 3600, 86_400])
def test_retry_after_is_honoured_in_full_and_for_hours(asked: float) -> None:
    assert (seconds(0, asked, 0.0), seconds(0, asked, 1.0)) == (asked, asked + 10)


def test_a_retry_after_of_years_is_a_mistake_and_is_honoured_for_a_day() -> None:
    for asked in (86_401, 999_999_999.0, float("inf")):
        assert timedelta(seconds=seconds(0, asked, 0.0)) == LONGEST_ASKED


def test_a_short_retry_after_makes_a_long_wait_no_shorter() -> None:
    assert seconds(9, 5.0) == 600


@given(st.integers(0, 10_000), st.timedeltas(SECOND, HOURS), st.floats(0, 1e9), st.floats(0, 1))
def test_a_wait_has_its_bounds(failures: int, longest: timedelta, asked: float, jitter: float) -> None:
    wait = wait_after(failures, longest, asked, jitter)
    honoured = min(timedelta(seconds=asked), LONGEST_ASKED)
    assert max(honoured, longest / 130) <= wait <= max(longest, honoured + longest / 60)


def run(**other: Any) -> Any:
    """A run that began at noon, failed a minute later and keeps the next one waiting for a minute."""
    told = {
        "outcome": "failed",
        "reason": "upstream answered 503",
        "attempt": 2,
        "started_at": NOON,
        "heartbeat_at": NOON,
        "finished_at": NOON + MINUTE,
        "retry_at": NOON + 2 * MINUTE,
    }
    return SimpleNamespace(**told | other)


RUNNING = {"outcome": None, "finished_at": None, "retry_at": None, "reason": None}
REFRESHED = {"outcome": "refreshed", "retry_at": None, "reason": None}


def test_until_its_time_has_come_nobody_begins_after_a_run_that_failed() -> None:
    assert waits_until(run(), NOON + MINUTE) == NOON + 2 * MINUTE
    assert waits_until(run(), NOON + 2 * MINUTE - timedelta(microseconds=1)) == NOON + 2 * MINUTE
    assert waits_until(run(), NOON + 2 * MINUTE) is None


@pytest.mark.parametrize("other", [None, run(**RUNNING), run(**REFRESHED), run(retry_at=None)])
def test_any_other_run_keeps_nobody_waiting(other: Any) -> None:
    assert waits_until(other, NOON + MINUTE) is None


def test_a_clock_that_was_set_back_far_keeps_nobody_waiting_and_a_little_does() -> None:
    far, little = NOON - timedelta(hours=1), NOON + MINUTE / 2
    assert waits_until(run(), far) is None
    assert again_at(run(), LEASE, far) <= far
    assert waits_until(run(), little) == again_at(run(), LEASE, little) == NOON + 2 * MINUTE


def test_another_run_follows_when_the_last_is_dead_or_its_wait_is_over() -> None:
    now = NOON + MINUTE
    assert again_at(run(**RUNNING, heartbeat_at=now), LEASE, now) == now + LEASE
    assert again_at(run(), LEASE, now) == NOON + 2 * MINUTE
    assert again_at(run(**REFRESHED), LEASE, now) == NOON + LEASE


def test_a_failure_that_a_release_from_before_wrote_is_left_to_it_for_a_while() -> None:
    assert again_at(run(retry_at=None), LEASE, NOON) == NOON + MINUTE + OLD_RELEASE


def told(refreshed_at: datetime | None, last: Any, now: datetime = NOON + MINUTE) -> tuple[Any, str]:
    return next_run(refreshed_at, last, HOURS, now)


def test_the_next_run_is_told_with_its_reason() -> None:
    stale, fresh = NOON - HOURS, NOON - HOURS / 2
    failed = "attempt 3 failed: upstream answered 503"
    assert told(None, None) == (None, "never refreshed")
    assert told(None, run()) == told(stale, run()) == (NOON + 2 * MINUTE, failed)
    assert told(stale, run(), NOON + HOURS) == (None, "overdue")
    assert told(NOON, run(**REFRESHED)) == (NOON + HOURS, "on schedule")
    assert told(fresh, run()) == (fresh + HOURS, "on schedule")  # it was forced: it is not tried again
    assert told(fresh, run(retry_at=NOON + HOURS)) == (NOON + HOURS, failed)
    assert told(stale, run(**RUNNING)) == (None, "a run is in progress")


@pytest.mark.parametrize("ahead", [timedelta(hours=5), timedelta(days=3)])
def test_after_a_refresh_well_ahead_of_the_clock_the_next_run_is_told_as_beat_sends_it(
    ahead: timedelta,
) -> None:
    now = NOON + MINUTE
    later = {"started_at": now + ahead, "heartbeat_at": now + ahead, "finished_at": now + ahead}
    assert told(now + ahead, run(**REFRESHED | later)) == (None, REFRESHED_AHEAD)
    assert told(now + ahead, run()) == (NOON + 2 * MINUTE, "attempt 3 failed: upstream answered 503")
    assert told(now + ahead, run(retry_at=NOON)) == (None, REFRESHED_AHEAD)


def test_a_refresh_that_beat_takes_for_fresh_though_it_lies_ahead_is_told_so() -> None:
    at = NOON + MINUTE + HOURS / 2
    assert told(at, run(**REFRESHED)) == (at + HOURS, "on schedule")
