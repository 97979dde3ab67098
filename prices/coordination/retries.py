"""When a refresh that failed is tried again: the one place where that is decided.

The row of a failed run says until when no other may begin unless it is forced, and beat sends the next
message then. So no wait sits in a worker or in the broker, nothing is lost with either of them, and everybody
who asks the database sees the same. All times are the database's.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Row

from prices.coordination.freshness import CLOCK_SLACK, answer_within, fresh_for, next_send, unless_ahead

SHARE: Final = 60
"""The first wait is this part of the longest: ten seconds of ten minutes."""
LONGEST_ASKED: Final = timedelta(days=1)
"""How much of a `Retry-After` is honoured: one that asks for years is a mistake."""
OLD_RELEASE: Final = timedelta(minutes=10)
"""How long a failed run without `retry_at` is left to the release that wrote it, which retries by itself."""

REFRESHED_AHEAD: Final = "the time of the last refresh lies ahead of the database's clock"
"""Why nothing can be told from that time: the clock was set back since."""


def wait_after(failures: int, longest: timedelta, retry_after: float, jitter: float) -> timedelta:
    """Give how long to wait after a failure before which `failures` others came in a row.

    It doubles each time, up to `longest`; half of it is certain and half is by chance, `jitter` being from 0
    to 1 ("equal jitter": Brooker, "Exponential Backoff And Jitter", AWS 2015). It is never shorter than the
    `retry_after` seconds that upstream asked for, and then a little longer, so that those whom upstream told
    the same do not come back all at once.
    """
    first = longest / SHARE
    wait = min(longest, first * (1 << min(failures, SHARE.bit_length()))) * ((1 + jitter) / 2)
    if retry_after <= 0:
        return wait
    asked = timedelta(seconds=min(retry_after, LONGEST_ASKED.total_seconds()))
    return max(wait, asked + first * jitter)


def waits_until(run: Row[Any] | None, now: datetime) -> datetime | None:
    """Give until when no run may begin unforced, because the last, `run`, failed; None: it may now."""
    if run is None or run.outcome != "failed" or run.retry_at is None:
        return None
    if unless_ahead(run.finished_at, now, CLOCK_SLACK) is None or run.retry_at <= now:
        return None
    until: datetime = run.retry_at
    return until


def again_at(run: Row[Any], lease: timedelta, now: datetime) -> datetime:
    """Give when another run may follow the last one at the earliest.

    After one that runs, when it counts as dead; after one that failed, when its wait is over; after any
    other, a lease after it began, because a replay's runs follow one another. Where such a time is ahead of
    `now` the clock was set back since: it was so long ago that only a message that is still waited for keeps
    another from being sent.
    """
    if run.finished_at is None:
        since, wait = unless_ahead(run.heartbeat_at, now, lease), lease
    elif run.outcome != "failed":
        since, wait = unless_ahead(run.started_at, now, CLOCK_SLACK), lease
    else:
        ends = run.retry_at or run.finished_at + OLD_RELEASE
        since, wait = unless_ahead(run.finished_at, now, CLOCK_SLACK), ends - run.finished_at
    return now - answer_within(lease) if since is None else since + wait


class NextRun(NamedTuple):
    """When the next run begins at the latest, None for as soon as beat can, and why then."""

    at: datetime | None
    reason: str


def next_run(
    refreshed_at: datetime | None, run: Row[Any] | None, interval: timedelta, now: datetime
) -> NextRun:
    """Tell when the next run begins, from when the prices were refreshed and from the last run.

    Times well ahead of `now` are unknown here as they are to beat.
    """
    at_once = timedelta(0)
    confirmed_at = unless_ahead(refreshed_at, now, fresh_for(interval))  # as `is_fresh` has it
    due = next_send(
        confirmed_at,
        started_at=run and unless_ahead(run.started_at, now),
        again_at=run and again_at(run, at_once, now),
        sent_at=None,
        interval=interval,
        lease=at_once,
        tick_after=lambda at: at + interval,
    )
    if run is not None and run.finished_at is None:
        return NextRun(due if due and due > now else None, "a run is in progress")
    if run is not None and due is not None and due == waits_until(run, now):
        return NextRun(due, f"attempt {run.attempt + 1} failed: {run.reason}")
    if due is None or due <= now:
        if confirmed_at is None:
            return NextRun(None, "never refreshed" if refreshed_at is None else REFRESHED_AHEAD)
        return NextRun(None, "overdue")
    return NextRun(due, "on schedule")
