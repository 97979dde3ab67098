"""The one rule for "fresh" and "due". Times are aware UTC; ages and intervals are timedeltas."""

from collections.abc import Callable
from datetime import datetime, timedelta

FRESH_SHARE = 0.9
"""Prices younger than this share of the refresh interval are not fetched again."""


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


def next_due(
    refreshed_at: datetime | None,
    attempted_at: datetime | None,
    interval: timedelta,
    tick_after: Callable[[datetime], datetime],
) -> datetime | None:
    """When the next refresh is due; None says at once, because none was ever tried.

    `tick_after` gives the schedule's first tick after a time. Due is the first tick at which the
    prices are no longer fresh, and at the latest one interval after the last attempt, so that a
    refresh off the tick (the first start, a catch-up) never makes prices older than the interval.
    """
    known = [at for at in (refreshed_at, attempted_at) if at is not None]
    if not known:
        return None
    last = max(known)
    stale_from = last if refreshed_at is None else max(last, refreshed_at + fresh_for(interval))
    return min(tick_after(stale_from), last + interval)


def answer_within(lease: timedelta) -> timedelta:
    """How long a message for a refresh may wait for a run before it counts as lost and is sent again.

    A lock that its holder could not give back refuses a message for one lease at most.
    """
    return 2 * lease


def next_send(
    refreshed_at: datetime | None,
    *,
    started_at: datetime | None,
    dead_at: datetime | None,
    sent_at: datetime | None,
    interval: timedelta,
    lease: timedelta,
    tick_after: Callable[[datetime], datetime],
) -> datetime | None:
    """When a message for the next refresh is to be sent; None says at once.

    It is when the refresh is due, with two exceptions. A message that no run answered is sent again. A run
    that was abandoned is not waited for longer than until it counts as dead, at `dead_at`. `started_at` is
    the last run's start, `sent_at` when the last message was sent.
    """
    attempted = [at for at in (started_at, sent_at) if at is not None]
    due = next_due(refreshed_at, max(attempted, default=None), interval, tick_after)
    if due is None:
        return None
    answered = any(
        at is not None and sent_at is not None and at >= sent_at for at in (started_at, refreshed_at)
    )
    if sent_at is not None and not answered:
        due = min(due, sent_at + answer_within(lease))
    if dead_at is not None and refreshed_at is not None:
        dead_at = max(dead_at, refreshed_at + fresh_for(interval))  # prices that are fresh need no heir
    if dead_at is not None and (sent_at is None or sent_at < dead_at):
        due = min(due, dead_at)
    return due
