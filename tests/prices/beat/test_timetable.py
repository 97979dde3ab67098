"""When beat sends, on real stores: what is due, once, by one of many, and counted only when it was sent."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Engine, event, update

import deploy_migrations
from prices.beat.timetable import Timetable
from prices.coordination.heartbeats import who_lives
from prices.coordination.retries import next_run, wait_after
from prices.coordination.runs import fail_run
from prices.published.make import publish_current
from prices.published.redis_copy import read_publication
from prices.runtime.redis_client import make_redis
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import make_engine, reading, utc_now, writing
from prices.store.queries import catalogue_state, last_run
from prices.store.tables import catalogue, refresh_runs
from tests.support.ledger import INTERVAL, LEASE, fill, started
from tests.support.lists import model
from tests.support.made_clock import MadeClock

WAIT = 5.0


class Beat:
    """One beat process: its timetable, its time, and what it sent."""

    def __init__(self, services: Services, name: str) -> None:
        self.clock = MadeClock()
        self.sent = 0
        self.broker_is_away = False
        self.timetable = Timetable(
            replace(services, clock=self.clock),
            name,
            send=self._send,
            tick_after=lambda at: at + INTERVAL,
            longest_wait=WAIT,
        )

    def _send(self) -> None:
        if self.broker_is_away:
            raise OSError("the broker is away")
        self.sent += 1

    def look(self, after: float = WAIT) -> float:
        self.clock.go_on(after)
        return self.timetable.look()


@pytest.fixture
def stores(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, make_services: Callable[..., Services]
) -> Services:
    """Real stores without content."""
    url = f"sqlite:///{tmp_path}/prices.sqlite3"
    with monkeypatch.context() as env:
        env.setenv("DATABASE_URL", url)
        assert deploy_migrations.main([]) == 0
    return make_services(Settings.from_env({"DATABASE_URL": url, "REDIS_URL": redis_url}))


@pytest.fixture
def beat(stores: Services) -> Beat:
    return Beat(stores, "beat-1")


@pytest.fixture
def other(stores: Services) -> Beat:
    return Beat(stores, "beat-2")


def forget_sent(services: Services, seconds_ago: float) -> None:
    """Let the last message have been sent so long ago."""
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    services.redis.set(services.keys.beat_sent, round(at.timestamp() * 1_000_000), px=600_000)


def set_times(services: Services, **ages: timedelta) -> None:
    with writing(services.engine) as connection:
        now = utc_now(connection)
        if "refreshed" in ages:
            connection.execute(update(catalogue).values(refreshed_at=now - ages["refreshed"]))
            connection.execute(update(refresh_runs).values(started_at=now - ages["refreshed"]))
        if "heartbeat" in ages:
            connection.execute(
                update(refresh_runs)
                .where(refresh_runs.c.state == "running")
                .values(heartbeat_at=now - ages["heartbeat"], started_at=now - ages["heartbeat"])
            )


class DatabaseTime:
    """SQLite's clock, which can be set: it asks the machine's, so its function for that is replaced."""

    def __init__(self, engine: Engine) -> None:
        self.ahead = timedelta(0)
        event.listen(engine, "connect", self._take_over)
        engine.dispose()  # connections from before have the right clock

    def _take_over(self, connection: Any, _record: object) -> None:
        connection.create_function("strftime", 2, self._now)

    def _now(self, _form: str, _when: str) -> str:
        return (datetime.now(UTC) + self.ahead).replace(tzinfo=None).isoformat(" ", "milliseconds")


@pytest.fixture
def database_time(stores: Services) -> DatabaseTime:
    return DatabaseTime(stores.engine)


def fail(services: Services, wait: timedelta = timedelta(0)) -> None:
    """Let a run start and fail now, and keep the next one waiting."""
    run_id = started(services.engine)
    with writing(services.engine) as connection:
        fail_run(connection, run_id, utc_now(connection), "upstream answered 500", wait)


def test_prices_that_were_never_refreshed_are_sent_for_at_once_and_once(stores: Services, beat: Beat) -> None:
    for _look in range(10):
        beat.look()
    assert beat.sent == 1
    assert stores.redis.get(stores.keys.beat_sent) is not None


@pytest.mark.parametrize("note", [b"soon", b"9" * 40, b"-9999999999999999999", b"\xff"])
def test_a_note_that_no_beat_wrote_keeps_nothing_from_being_sent(
    note: bytes, stores: Services, beat: Beat
) -> None:
    stores.redis.set(stores.keys.beat_sent, note)
    beat.look()
    assert beat.sent == 1


def test_fresh_prices_are_not_sent_for(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"))
    assert beat.look() == WAIT
    assert beat.sent == 0


def test_prices_that_are_overdue_are_sent_for_at_once_and_once(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=INTERVAL + LEASE)
    for _look in range(5):
        beat.look()
    assert beat.sent == 1


def test_beat_waits_no_longer_than_until_the_next_is_due(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=INTERVAL - timedelta(seconds=3))
    assert 0.1 <= beat.look() <= 3
    assert beat.sent == 0


def test_a_message_that_could_not_be_sent_is_sent_at_the_next_look(stores: Services, beat: Beat) -> None:
    beat.broker_is_away = True
    for _look in range(3):
        assert beat.look() <= WAIT
    assert stores.redis.get(stores.keys.beat_sent) is None
    beat.broker_is_away = False
    beat.look()
    beat.look()
    assert beat.sent == 1


def test_a_message_that_no_run_answered_is_sent_again_after_two_leases(stores: Services, beat: Beat) -> None:
    beat.look()
    restarted = Beat(stores, "beat-1b")
    beat.timetable.end()
    forget_sent(stores, 2 * LEASE.total_seconds() - 20)
    restarted.look()
    assert restarted.sent == 0
    forget_sent(stores, 2 * LEASE.total_seconds() + 1)
    restarted.look()
    assert restarted.sent == 1


def test_a_message_that_a_run_answered_is_not_sent_again(stores: Services, beat: Beat) -> None:
    beat.look()
    fill(stores.engine, model("a/one"))
    restarted = Beat(stores, "beat-1b")
    beat.timetable.end()
    restarted.look()
    assert restarted.sent == 0


def test_a_run_that_died_is_sent_for_again_once_it_counts_as_dead(stores: Services, beat: Beat) -> None:
    started(stores.engine)
    set_times(stores, heartbeat=LEASE - timedelta(seconds=20))
    beat.look()
    assert beat.sent == 0
    set_times(stores, heartbeat=LEASE + timedelta(seconds=1))
    beat.look()
    beat.look()
    assert beat.sent == 1


def test_a_run_whose_process_was_told_to_end_is_sent_for_again_at_once(stores: Services, beat: Beat) -> None:
    fail(stores)
    beat.look()
    beat.look()
    assert beat.sent == 1


def test_a_run_that_failed_is_sent_for_again_when_its_wait_is_over(stores: Services, beat: Beat) -> None:
    fail(stores, wait=timedelta(seconds=2))
    assert 0.1 <= beat.look() <= 2
    assert beat.sent == 0
    fail(stores, wait=timedelta(hours=20))
    assert beat.look() == WAIT
    assert beat.sent == 0
    fail(stores)
    for _look in range(3):
        beat.look()
    assert beat.sent == 1


def test_a_failed_run_is_tried_again_long_before_the_next_tick(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=INTERVAL + LEASE)
    fail(stores, wait=wait_after(0, timedelta(minutes=10), 0.0, 0.0) - timedelta(seconds=4))
    assert beat.look() <= 1
    fail(stores)
    beat.look()
    assert beat.sent == 1


def test_prices_that_a_replay_left_old_are_sent_for_once_it_is_over(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"), at=datetime.now(UTC) - timedelta(days=30))
    beat.look()
    assert beat.sent == 0  # another body may follow
    with writing(stores.engine) as connection:
        connection.execute(update(refresh_runs).values(started_at=utc_now(connection) - LEASE))
    beat.look()
    beat.look()
    assert beat.sent == 1


def test_a_message_that_was_sent_before_the_database_went_away_is_not_waited_for(
    stores: Services, beat: Beat
) -> None:
    beat.look()
    assert beat.sent == 1
    beat.timetable._services = replace(stores, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))
    beat.look()
    assert beat.sent == 1
    beat.timetable._services = stores
    for _look in range(3):
        beat.look()
    assert beat.sent == 2


def test_of_two_beats_one_leads_and_sends(stores: Services, beat: Beat, other: Beat) -> None:
    for _look in range(20):
        beat.look()
        other.look()
    assert (beat.sent, other.sent) == (1, 0)
    assert stores.redis.get(stores.keys.beat_leader).startswith(b"beat-1|")


def test_a_leader_that_ends_lets_the_other_lead_at_once_without_sending_twice(
    stores: Services, beat: Beat, other: Beat
) -> None:
    beat.look()
    other.look()
    beat.timetable.end()
    other.look()
    assert stores.redis.get(stores.keys.beat_leader).startswith(b"beat-2|")
    assert (beat.sent, other.sent) == (1, 0)


def test_a_leader_that_fell_silent_is_replaced_when_its_lease_ends(
    stores: Services, beat: Beat, other: Beat
) -> None:
    beat.look()
    stores.redis.delete(stores.keys.beat_leader)  # as when the lease ran out
    other.look()
    beat.look(after=LEASE.total_seconds())
    assert stores.redis.get(stores.keys.beat_leader).startswith(b"beat-2|")
    forget_sent(stores, 2 * LEASE.total_seconds() + 1)
    beat.look()
    assert beat.sent == 1
    other.look()
    assert (beat.sent, other.sent) == (1, 1)


def test_the_leader_keeps_its_lead_while_it_looks(stores: Services, beat: Beat) -> None:
    beat.look()
    for _look in range(3):
        stores.redis.pexpire(stores.keys.beat_leader, 1000)
        beat.look(after=LEASE.total_seconds() / 3)
        assert stores.redis.pttl(stores.keys.beat_leader) > 1000


def test_a_publication_and_its_mark_are_made_good_after_redis_lost_all(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"))
    publish_current(stores)
    beat.look()
    before = read_publication(stores.redis, stores.keys)
    stores.redis.flushall()
    beat.look()
    assert before is not None
    assert read_publication(stores.redis, stores.keys) == before
    assert stores.redis.get(stores.keys.fresh) == b"1"


def test_a_mark_that_the_database_denies_is_taken_away(stores: Services, beat: Beat) -> None:
    fill(stores.engine, model("a/one"))
    publish_current(stores)
    set_times(stores, refreshed=INTERVAL + LEASE)
    beat.look()
    assert stores.redis.get(stores.keys.fresh) is None
    assert beat.sent == 1


def test_one_that_stands_by_repairs_and_sends_nothing(stores: Services, beat: Beat, other: Beat) -> None:
    fill(stores.engine, model("a/one"))
    beat.look()
    stores.redis.delete(stores.keys.snapshot)
    other.look()
    assert read_publication(stores.redis, stores.keys) is None
    beat.look()
    assert read_publication(stores.redis, stores.keys) is not None


def test_without_redis_each_beat_sends_what_is_due_once(stores: Services) -> None:
    """Another broker may be there all the same, and the claim stands behind them."""
    with make_redis("redis://127.0.0.1:1/0") as no_redis:
        beats = [Beat(replace(stores, redis=no_redis), name) for name in ("beat-1", "beat-2")]
        for _look in range(3):
            for one in beats:
                one.look()
        assert [one.sent for one in beats] == [1, 1]
        for one in beats:
            one.timetable.end()


def test_without_the_database_nothing_is_sent_and_beat_goes_on(stores: Services) -> None:
    away = replace(stores, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))
    beat = Beat(away, "beat-1")
    assert beat.look() == WAIT
    assert beat.look() == WAIT
    assert beat.sent == 0


def test_what_fails_is_told_once_and_once_more_when_it_works_again(
    beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = mock.Mock()
    monkeypatch.setattr("prices.beat.timetable.log", log)
    beat.broker_is_away = True
    for _look in range(3):
        beat.look()
    beat.broker_is_away = False
    beat.look()
    assert [told.kwargs["part"] for told in log.warning.call_args_list] == ["schedule"]
    assert "the broker is away" in log.warning.call_args.kwargs["reason"]
    again = "Beat can do this part of its work again"
    assert [told.args[0] for told in log.info.call_args_list].count(again) == 1


def test_what_is_not_tried_while_the_database_is_away_is_not_told_to_work_again(
    stores: Services, beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis goes away, then the database: neither publication nor heartbeat has come right by that."""
    no_redis = make_redis("redis://127.0.0.1:1/0")
    log = mock.Mock()
    monkeypatch.setattr("prices.beat.timetable.log", log)
    fill(stores.engine, model("a/one"))
    away = make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db")
    beat.timetable._services = replace(stores, redis=no_redis)
    beat.timetable._heart._redis = no_redis
    beat.timetable._heart._tried_at = None
    beat.look()
    beat.timetable._services = replace(stores, redis=no_redis, engine=away)
    for _look in range(3):
        beat.look()
    failed = [told.kwargs["part"] for told in log.warning.call_args_list]
    assert failed == ["heartbeat", "publication", "database"]
    assert [told.args[0] for told in log.info.call_args_list if "again" in told.args[0]] == []


DAYS = timedelta(days=300)


def test_prices_of_before_the_clock_was_set_back_are_sent_for_at_once_and_once(
    stores: Services, beat: Beat
) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=-DAYS)
    for _look in range(5):
        beat.look()
    assert beat.sent == 1
    fill(stores.engine, model("a/one"))
    beat.look()
    assert beat.sent == 1


def test_prices_that_the_claim_calls_fresh_are_not_sent_for_though_their_time_is_ahead(
    stores: Services, beat: Beat
) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=-timedelta(hours=1))
    beat.look()
    assert beat.sent == 0


@pytest.mark.parametrize("hours", [1, 5, 72])
def test_the_next_run_is_told_as_beat_sends_it_though_the_prices_time_is_ahead(
    hours: int, stores: Services, beat: Beat
) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=-timedelta(hours=hours))
    with reading(stores.engine) as connection:
        state, run = catalogue_state(connection), last_run(connection)
    due = next_run(state.refreshed_at, run, INTERVAL, state.now)
    beat.look()
    assert (due.at is None) == (beat.sent == 1) == (hours > 3)


def test_a_message_of_before_the_clock_was_set_back_is_not_waited_for(stores: Services, beat: Beat) -> None:
    forget_sent(stores, -DAYS.total_seconds())
    for _look in range(3):
        beat.look()
    assert beat.sent == 1


def test_a_beat_that_sent_before_the_clock_was_set_back_sends_what_is_due_after_it(
    stores: Services, beat: Beat, database_time: DatabaseTime
) -> None:
    database_time.ahead = DAYS
    beat.look()
    database_time.ahead = timedelta(0)
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=INTERVAL + LEASE)
    for _look in range(3):
        beat.look()
    assert beat.sent == 2


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_that_died_or_failed_before_the_clock_was_set_back_is_sent_for_once(
    ended: bool, stores: Services, beat: Beat, database_time: DatabaseTime
) -> None:
    fill(stores.engine, model("a/one"))
    set_times(stores, refreshed=INTERVAL - LEASE)
    database_time.ahead = DAYS
    if ended:
        fail(stores, wait=timedelta(hours=2))
    else:
        started(stores.engine)
    database_time.ahead = timedelta(0)
    for _look in range(5):
        beat.look()
    assert beat.sent == 1


def test_beat_says_that_it_lives_and_that_it_ends(stores: Services, beat: Beat) -> None:
    beat.look()
    assert list(who_lives(stores.redis, stores.keys).beats) == ["beat-1"]
    beat.timetable.end()
    assert who_lives(stores.redis, stores.keys).beats == {}
    assert stores.redis.get(stores.keys.beat_leader) is None
