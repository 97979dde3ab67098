"""The one rule for "fresh" and "due". Times are aware UTC; ages and intervals are timedeltas."""

from collections.abc import Callable
from datetime import datetime, timedelta

FRESH_SHARE = 0.9
"""Prices younger than this share of the refresh interval are not fetched again."""
CLOCK_SLACK = timedelta(minutes=1)
"""By how much a clock may be corrected without what it said being forgotten."""


def fresh_for(interval: timedelta) -> timedelta:
    """How long after a refresh no other may fetch: the freshness window."""
    return interval * FRESH_SHARE


def is_fresh(refreshed_at: datetime | None, now: datetime, interval: timedelta) -> bool:
    """Whether prices refreshed at `refreshed_at` need no fetch at `now`.

    A time further in the future than the window is a clock that was set back, not a fresh price.
    """
    return refreshed_at is not None and abs(now - refreshed_at) < fresh_for(interval)


def fresh_left(refreshed_at: datetime | None, now: datetime, interval: timedelta) -> timedelta:
    """How long prices refreshed at `refreshed_at` still need no fetch; zero when they do."""
    if refreshed_at is None or not is_fresh(refreshed_at, now, interval):
        return timedelta(0)
    return min(fresh_for(interval), refreshed_at + fresh_for(interval) - now)


def unless_ahead(at: datetime | None, now: datetime, most: timedelta = timedelta(0)) -> datetime | None:
    """Give a time of the database's clock, or None where it is more than `most` ahead of `now` there.

    Such a time was written before the clock was set back. It says nothing about when anything happened.
    """
    return None if at is None or at - now > most else at


def age_of(refreshed_at: datetime | None, now: datetime) -> timedelta | None:
    """Give the age of prices refreshed at a time; None where it is unknown.

    It is unknown before the first refresh, and where that time is ahead of `now` by more than a clock may be
    corrected. A time that is a little ahead is an age of zero.
    """
    at = unless_ahead(refreshed_at, now, CLOCK_SLACK)
    return None if at is None else max(timedelta(0), now - at)


def next_due(
    refreshed_at: datetime, interval: timedelta, tick_after: Callable[[datetime], datetime]
) -> datetime:
    """When prices refreshed at a time are due to be refreshed again.

    `tick_after` gives the schedule's first tick after a time. Due is the first tick at which the prices are
    no longer fresh, and at the latest one interval after the refresh, so that one off the tick (the first
    start, a catch-up) never makes prices older than the interval.
    """
    return min(tick_after(refreshed_at + fresh_for(interval)), refreshed_at + interval)


def answer_within(lease: timedelta) -> timedelta:
    """How long a message for a refresh may wait for a run before it counts as lost and is sent again.

    A lock that its holder could not give back refuses a message for one lease at most.
    """
    return 2 * lease


def next_send(
    refreshed_at: datetime | None,
    *,
    started_at: datetime | None,
    again_at: datetime | None,
    sent_at: datetime | None,
    interval: timedelta,
    lease: timedelta,
    tick_after: Callable[[datetime], datetime],
) -> datetime | None:
    """When a message for the next refresh is to be sent; None says at once.

    It is when the refresh is due, but not before `again_at`, when another run may follow the last one. A run
    that began after the prices were stale, and left them so, is followed then and not at the next tick; one
    that began before was forced, and is not tried again. A message that no run answered is sent again.
    `started_at` is the last run's start, None where it cannot be known, `sent_at` when the last message was
    sent.
    """
    if refreshed_at is None:
        due = again_at
    else:
        stale_from, due = refreshed_at + fresh_for(interval), next_due(refreshed_at, interval, tick_after)
        if again_at is not None:
            was_due = started_at is None or started_at >= stale_from
            due = max(again_at, stale_from if was_due else due)
    answered = any(
        at is not None and sent_at is not None and at >= sent_at for at in (started_at, refreshed_at)
    )
    if sent_at is not None and not answered:
        due = max(due or sent_at, sent_at + answer_within(lease))
    return due
