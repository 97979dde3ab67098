"""The one rule for "fresh" and "due"."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from prices.freshness import answer_within, fresh_for, fresh_left, is_fresh, next_due, next_send

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
HOURS = timedelta(hours=3)
TIMES = st.timedeltas(timedelta(0), timedelta(days=365)).map(lambda later: NOON + later)
INTERVALS = st.timedeltas(timedelta(minutes=1), timedelta(days=31))
MAYBE = st.none() | TIMES


def tick_every(step: timedelta, start: datetime = datetime(2025, 12, 1, tzinfo=UTC)):
    return lambda at: start + ((at - start) // step + 1) * step


def test_prices_are_fresh_for_nine_tenths_of_the_interval() -> None:
    assert fresh_for(HOURS) == timedelta(minutes=162)
    assert is_fresh(NOON, NOON, HOURS)
    assert is_fresh(NOON, NOON + timedelta(minutes=161, seconds=59), HOURS)
    assert not is_fresh(NOON, NOON + timedelta(minutes=162), HOURS)


def test_prices_that_were_never_refreshed_are_not_fresh() -> None:
    assert not is_fresh(None, NOON, HOURS)


def test_a_clock_that_was_set_back_a_little_keeps_prices_fresh_and_far_does_not() -> None:
    assert is_fresh(NOON + timedelta(minutes=5), NOON, HOURS)
    assert not is_fresh(NOON + timedelta(days=365), NOON, HOURS)


def test_a_refresh_on_the_tick_is_due_again_on_the_next() -> None:
    on_tick, soon_after = NOON, NOON + timedelta(seconds=4)
    ticks = tick_every(HOURS)
    assert next_due(soon_after, on_tick, HOURS, ticks) == NOON + HOURS


def test_a_first_refresh_just_before_a_tick_is_not_repeated_on_it() -> None:
    just_before = NOON - timedelta(minutes=10)
    assert next_due(just_before, just_before, HOURS, tick_every(HOURS)) == just_before + HOURS


def test_after_a_failed_first_attempt_the_next_tick_is_due() -> None:
    assert next_due(None, NOON + timedelta(minutes=1), HOURS, tick_every(HOURS)) == NOON + HOURS


def test_a_failed_attempt_on_stale_prices_is_made_good_on_the_next_tick() -> None:
    refreshed, failed = NOON - 5 * HOURS, NOON + timedelta(seconds=1)
    assert next_due(refreshed, failed, HOURS, tick_every(HOURS)) == NOON + HOURS


@settings(deadline=None)
@given(MAYBE, MAYBE, INTERVALS, INTERVALS)
def test_due_is_at_once_only_when_nothing_was_ever_tried(
    refreshed: datetime | None, attempted: datetime | None, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, attempted, interval, tick_every(step))
    assert (due is None) == (refreshed is None and attempted is None)


@settings(deadline=None)
@given(TIMES, MAYBE, INTERVALS, INTERVALS)
def test_a_refresh_is_never_due_while_the_prices_are_fresh(
    refreshed: datetime, attempted: datetime | None, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, attempted, interval, tick_every(step))
    assert due is not None
    assert due >= refreshed + fresh_for(interval)
    assert not is_fresh(refreshed, due, interval)


@settings(deadline=None)
@given(MAYBE, TIMES, INTERVALS, INTERVALS)
def test_a_refresh_is_due_after_the_last_attempt_and_at_most_an_interval_later(
    refreshed: datetime | None, attempted: datetime, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, attempted, interval, tick_every(step))
    last = max(at for at in (refreshed, attempted) if at is not None)
    assert due is not None
    assert last < due <= last + interval


LEASE = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)


def send_at(refreshed: datetime | None = None, **known: datetime | None) -> datetime | None:
    """When to send with ticks every three hours."""
    return next_send(
        refreshed,
        started_at=known.get("started"),
        dead_at=known.get("dead"),
        sent_at=known.get("sent"),
        interval=HOURS,
        lease=LEASE,
        tick_after=tick_every(HOURS),
    )


def test_before_anything_was_tried_a_message_is_sent_at_once() -> None:
    assert send_at() is None


def test_a_message_that_a_run_answered_is_not_sent_again() -> None:
    assert send_at(sent=NOON, started=NOON + MINUTE) == NOON + HOURS
    assert send_at(NOON + MINUTE, sent=NOON, started=NOON) == NOON + HOURS


def test_a_message_that_no_run_answered_is_sent_again_after_two_leases() -> None:
    assert send_at(sent=NOON) == NOON + 2 * LEASE
    assert send_at(NOON - 2 * HOURS, sent=NOON, started=NOON - 2 * HOURS) == NOON + 2 * LEASE


def test_a_run_that_died_is_sent_again_once_it_counts_as_dead() -> None:
    dead = NOON + MINUTE + LEASE
    assert send_at(sent=NOON, started=NOON + MINUTE, dead=dead) == dead
    assert send_at(NOON - HOURS, sent=NOON, started=NOON + MINUTE, dead=dead) == dead


def test_a_run_that_died_on_fresh_prices_has_no_heir_before_they_are_stale() -> None:
    refreshed, dead = NOON - HOURS / 2, NOON + LEASE
    assert send_at(refreshed, started=NOON, dead=dead) == refreshed + fresh_for(HOURS)


def test_the_heir_of_a_dead_run_is_sent_for_once_and_then_as_any_message() -> None:
    dead = NOON + LEASE
    assert send_at(started=NOON, dead=dead, sent=dead) == dead + 2 * LEASE


@settings(deadline=None)
@given(MAYBE, MAYBE, MAYBE, MAYBE, INTERVALS, INTERVALS, INTERVALS)
def test_a_message_is_sent_at_once_only_when_nothing_was_ever_tried(
    refreshed: datetime | None,
    started: datetime | None,
    dead: datetime | None,
    sent: datetime | None,
    interval: timedelta,
    lease: timedelta,
    step: timedelta,
) -> None:
    due = next_send(
        refreshed,
        started_at=started,
        dead_at=dead if started else None,
        sent_at=sent,
        interval=interval,
        lease=lease,
        tick_after=tick_every(step),
    )
    assert (due is None) == (refreshed is None and started is None and sent is None)


@settings(deadline=None)
@given(MAYBE, MAYBE, MAYBE, MAYBE, INTERVALS, INTERVALS, INTERVALS)
def test_a_message_is_never_sent_later_than_the_refresh_is_due_nor_before_the_last_had_its_time(
    refreshed: datetime | None,
    started: datetime | None,
    alive_until: datetime | None,
    sent: datetime | None,
    interval: timedelta,
    lease: timedelta,
    step: timedelta,
) -> None:
    dead = max(started, alive_until) + lease if started and alive_until else None
    due = next_send(
        refreshed,
        started_at=started,
        dead_at=dead,
        sent_at=sent,
        interval=interval,
        lease=lease,
        tick_after=tick_every(step),
    )
    tried = [at for at in (started, sent) if at is not None]
    plain = next_due(refreshed, max(tried, default=None), interval, tick_every(step))
    assert (due is None) == (plain is None)
    if due is None or plain is None:
        return
    assert due <= plain
    if due < plain:
        assert due in (
            None if sent is None else sent + answer_within(lease),
            dead,
            None if refreshed is None else refreshed + fresh_for(interval),
        )
    if sent is not None and due < plain:
        assert due > sent


@settings(deadline=None)
@given(TIMES, TIMES, INTERVALS, INTERVALS)
def test_prices_are_fresh_for_exactly_what_is_left(
    refreshed: datetime, now: datetime, interval: timedelta, later: timedelta
) -> None:
    left = fresh_left(refreshed, now, interval)
    assert timedelta(0) <= left <= fresh_for(interval)
    assert (left > timedelta(0)) == is_fresh(refreshed, now, interval)
    if left and refreshed <= now:
        assert not is_fresh(refreshed, now + left, interval)
        assert is_fresh(refreshed, now + left - timedelta(microseconds=1), interval)


def test_prices_that_were_never_refreshed_have_nothing_left() -> None:
    assert fresh_left(None, NOON, HOURS) == timedelta(0)
