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
