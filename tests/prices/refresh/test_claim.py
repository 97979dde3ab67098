"""Who may refresh: Redis first, then the database's word, then a watchdog that keeps both."""

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, select, update

from prices.coordination.lease import Lease, Renewal, make_token
from prices.coordination.runs import Attempt, Busy, Fresh, finish_run
from prices.errors import ClaimLostError, DatabaseUnavailableError, RedisUnavailableError
from prices.published.make import publish_current
from prices.refresh.claim import Claim
from prices.refresh.claiming import claim
from prices.runtime.redis_client import LOCK_KEY, make_redis
from prices.services import Services
from prices.store.database import make_engine, reading, utc_now, writing
from prices.store.tables import refresh_runs
from tests.support.commands import commands_of
from tests.support.ledger import LEASE, fill
from tests.support.lists import model
from tests.support.made_clock import MadeClock

TTL = 10 * LEASE
ATTEMPT = Attempt("w1@host", "task", forced=True)


@pytest.fixture
def clock() -> MadeClock:
    return MadeClock()


@pytest.fixture
def ours(stores: Services, clock: MadeClock) -> Services:
    """One process of the cluster, with a time of its own."""
    settings = replace(stores.settings, lock_lease=LEASE, lock_ttl=TTL)
    return replace(stores, settings=settings, clock=clock)


def claiming(
    services: Services, worker: str = ATTEMPT.worker, *, force: bool = True, **other: Any
) -> AbstractContextManager[Claim | Fresh | Busy]:
    return claim(services, replace(ATTEMPT, worker=worker, forced=force), **other)


def without_redis(services: Services) -> Services:
    return replace(services, redis=make_redis("redis://127.0.0.1:1/0"))


def lost(claimed: Claim) -> str:
    """Why a claim is lost; empty while it is kept."""
    try:
        claimed.check()
    except ClaimLostError as error:
        return str(error)
    return ""


def close_running(engine: Engine) -> None:
    with writing(engine) as connection:
        running = connection.scalar(select(refresh_runs.c.id).where(refresh_runs.c.state == "running"))
        assert running is not None
        finish_run(connection, running, utc_now(connection), outcome="failed", reason="test")


def heartbeat_age(engine: Engine) -> timedelta:
    with reading(engine) as connection:
        beaten = connection.scalar(select(refresh_runs.c.heartbeat_at))
        return utc_now(connection) - beaten


def test_a_claim_holds_lock_and_run_for_the_length_of_the_block(ours: Services) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        claimed.check()
        token = ours.redis.get(LOCK_KEY)
        assert token.startswith(b"w1@host|task|")
        with reading(ours.engine) as connection:
            assert connection.scalar(select(refresh_runs.c.token)) == token.decode()
        with claiming(ours, worker="w2") as other:
            assert isinstance(other, Busy)
            assert other.holder == "w1@host"
            assert other.since is not None
            assert timedelta(0) <= other.since < LEASE
        assert ours.redis.get(LOCK_KEY) == token
    assert ours.redis.get(LOCK_KEY) is None


def test_a_claim_that_another_holds_is_refused_with_one_command_and_asks_no_database(ours: Services) -> None:
    nowhere = replace(ours, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))

    def refused() -> None:
        with claiming(nowhere, worker="w2") as other:
            assert isinstance(other, Busy)

    with claiming(ours):
        assert commands_of(ours.redis, refused) == ["EVALSHA"]


def test_what_fails_within_the_block_gives_the_lock_back(ours: Services) -> None:
    def fail() -> None:
        with claiming(ours):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ours.redis.get(LOCK_KEY) is None


def test_fresh_prices_give_no_claim_and_the_lock_back(ours: Services) -> None:
    fill(ours.engine, model("a/b"))
    with claiming(ours, force=False) as fresh:
        assert isinstance(fresh, Fresh)
    assert ours.redis.get(LOCK_KEY) is None


def test_with_redis_emptied_the_database_still_says_who_runs(ours: Services) -> None:
    with claiming(ours):
        ours.redis.flushall()
        with claiming(ours, worker="w2") as other:
            assert isinstance(other, Busy)
            assert other.holder == "w1@host"
            assert other.since is not None


def test_without_redis_the_database_alone_decides(ours: Services) -> None:
    alone = without_redis(ours)
    with claiming(alone) as claimed:
        assert isinstance(claimed, Claim)
        assert claimed.degraded
        with claiming(alone, worker="w2") as other:
            assert isinstance(other, Busy)


def test_when_the_database_cannot_decide_there_is_no_claim_and_no_lock_left(
    redis: Redis, ours: Services
) -> None:
    nowhere = replace(ours, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))

    def take() -> None:
        with claiming(nowhere):
            pytest.fail("a claim was given")

    with pytest.raises(DatabaseUnavailableError):
        take()
    assert redis.get(LOCK_KEY) is None


def test_the_watchdog_keeps_lock_and_heartbeat_alive(ours: Services, clock: MadeClock) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        for _look in range(6):  # twice the lease
            ours.redis.pexpire(LOCK_KEY, 1000)
            with writing(ours.engine) as connection:
                connection.execute(update(refresh_runs).values(heartbeat_at=utc_now(connection) - LEASE))
            clock.go_on(LEASE.total_seconds() / 3)
            claimed.check()
            assert ours.redis.pttl(LOCK_KEY) > 1000
            assert heartbeat_age(ours.engine) < LEASE / 2


def test_after_the_block_nothing_is_renewed(ours: Services, clock: MadeClock) -> None:
    with claiming(ours):
        pass
    clock.go_on(LEASE.total_seconds())
    assert ours.redis.get(LOCK_KEY) is None


def test_a_run_that_was_closed_by_another_loses_its_claim(ours: Services, clock: MadeClock) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        close_running(ours.engine)
        clock.go_on(LEASE.total_seconds() / 3)
        assert lost(claimed) == "claim lost: the run was closed by another"
        assert not claimed.renew()


def test_a_run_older_than_the_cap_loses_its_claim(ours: Services, clock: MadeClock) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        clock.go_on(TTL.total_seconds() - 1)
        claimed.check()
        clock.go_on(1)
        assert lost(claimed) == "claim lost: the run has used up the time a claim may last"


def test_a_holder_that_stood_still_for_longer_than_its_lease_finds_out_before_it_does_harm(
    ours: Services, clock: MadeClock
) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        clock.stand_still(LEASE.total_seconds())
        claimed.check()
        clock.stand_still(1)
        assert lost(claimed) == "claim lost: it was not renewed for 61 s"


def test_a_claim_that_was_once_found_lost_stays_lost(ours: Services, clock: MadeClock) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        clock.stand_still(LEASE.total_seconds() + 1)
        assert lost(claimed)
        assert not claimed.renew()
        assert lost(claimed) == "claim lost: it was not renewed for 61 s"


def test_a_lease_is_counted_from_before_it_was_asked_for(
    ours: Services, clock: MadeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stood still between the database's answer and its own look at the clock."""
    from prices.refresh import claiming as module

    start = module.start_run

    def slow(*given: Any, **named: Any) -> Any:
        started = start(*given, **named)
        clock.stand_still(LEASE.total_seconds() + 1)
        return started

    monkeypatch.setattr(module, "start_run", slow)
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        assert "not renewed" in lost(claimed)


def test_a_holder_that_stood_still_and_was_not_missed_goes_on(ours: Services, clock: MadeClock) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        clock.stand_still(LEASE.total_seconds() + 1)
        assert claimed.renew()
        claimed.check()


def test_who_only_asked_while_redis_was_empty_does_not_take_the_claim_away(ours: Services) -> None:
    """Redis lost our lock: another takes the free lock and is about to hear from the database that we run."""
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        for _time in range(3):
            ours.redis.set(LOCK_KEY, make_token("w2", "task-2"), px=60_000)
            assert claimed.renew()
            claimed.check()
            ours.redis.delete(LOCK_KEY)
            assert claimed.renew()
        assert ours.redis.get(LOCK_KEY).startswith(b"w1@host")


def test_a_lock_that_another_holds_at_two_renewals_in_a_row_is_lost(ours: Services) -> None:
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        other = make_token("w2", "task-2")
        ours.redis.set(LOCK_KEY, other, px=60_000)
        assert claimed.renew()
        assert not claimed.renew()
        assert lost(claimed) == "claim lost: another holds the Redis lock"
    assert ours.redis.get(LOCK_KEY) == other.encode()


def test_redis_going_away_takes_no_claim_away(ours: Services, clock: MadeClock) -> None:
    with claiming(without_redis(ours)) as claimed:
        assert isinstance(claimed, Claim)
        clock.go_on(2 * LEASE.total_seconds())
        claimed.check()


def test_a_redis_that_hangs_when_asked_costs_nothing_of_the_lease(
    ours: Services, clock: MadeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = 0.6 * LEASE.total_seconds()
    claims: list[Claim] = []

    def take(*_given: Any, **_named: Any) -> None:
        clock.stand_still(hang)
        raise RedisUnavailableError("hung")

    def renew(*_given: Any) -> Renewal:
        clock.stand_still(hang)
        claims[0].check()
        return Renewal.UNKNOWN

    monkeypatch.setattr(Lease, "take", take)
    monkeypatch.setattr(Lease, "renew", renew)
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        claims.append(claimed)
        for _look in range(3):
            clock.stand_still(LEASE.total_seconds() / 3)
            assert claimed.renew()


def test_a_lock_that_a_claim_without_redis_takes_when_redis_is_back_is_given_back(
    ours: Services, clock: MadeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_lease: Lease, *, unless: str | None = None) -> None:
        raise RedisUnavailableError("Redis failed")

    monkeypatch.setattr(Lease, "take", away)
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        assert claimed.degraded
        clock.go_on(LEASE.total_seconds() / 3)
        assert ours.redis.get(LOCK_KEY).startswith(b"w1@host|")
    assert ours.redis.get(LOCK_KEY) is None


def test_a_database_that_is_away_for_a_moment_is_waited_for_and_for_a_lease_is_a_loss(
    ours: Services, clock: MadeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    away: list[str] = []

    def beat_run(*_given: Any) -> bool:
        if away:
            raise DatabaseUnavailableError("away")
        return True

    monkeypatch.setattr("prices.refresh.claim.beat_run", beat_run)
    with claiming(ours) as claimed:
        assert isinstance(claimed, Claim)
        away.append("for a moment")
        clock.go_on(LEASE.total_seconds() / 2)
        claimed.check()
        away.clear()
        clock.go_on(LEASE.total_seconds() / 2)
        away.append("for longer")
        clock.go_on(LEASE.total_seconds())
        claimed.check()
        clock.go_on(1)
        assert "not renewed" in lost(claimed)


@pytest.mark.parametrize("force", [True, False])
def test_the_mark_in_redis_is_believed_only_by_those_who_trust_it_and_are_not_forced(
    force: bool, ours: Services
) -> None:
    fill(ours.engine, model("a/b"))
    publish_current(ours)
    with writing(ours.engine) as connection:
        connection.exec_driver_sql("UPDATE catalogue SET refreshed_at = NULL")
    assert ours.redis.exists(ours.keys.fresh)
    with claiming(ours, force=force, trust_marker=True) as trusting:
        assert isinstance(trusting, Claim if force else Fresh)
    if not force:
        with claiming(ours, force=False) as asking:
            assert isinstance(asking, Claim)
