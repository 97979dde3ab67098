"""Who may refresh: Redis first, then the database's word, then a watchdog that keeps both."""

import threading
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, select, update

from prices.claim import Claim, Held, claim
from prices.database import reading, utc_now, writing
from prices.errors import ClaimLostError, DatabaseUnavailableError
from prices.lease import Lease, Renewal, make_token
from prices.models import refresh_runs
from prices.redis_client import LOCK_KEY
from prices.runs import Fresh, finish_run
from prices.services import Services
from tests.prices.ledger import INTERVAL, fill, try_to_start
from tests.prices.lists import model

LEASE = timedelta(seconds=0.15)  # so that the watchdog looks every 50 ms
LONG = timedelta(seconds=60)


def claiming(redis: Redis, engine: Engine, **other: Any) -> AbstractContextManager[Claim | Fresh | Held]:
    asked: dict[str, Any] = {
        "worker": "w1@host",
        "task_id": "task",
        "attempt": 0,
        "force": True,
        "interval": INTERVAL,
        "lease": LONG,
        "ttl": 30 * LONG,
    }
    return claim(redis, engine, **asked | other)


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Counts the watchdog's renewals, so that a test can wait for them."""
    count = threading.Semaphore(0)
    renew = Lease.renew

    def counted(lease: Lease) -> Renewal:
        try:
            return renew(lease)
        finally:
            count.release()

    monkeypatch.setattr(Lease, "renew", counted)
    return count


def wait_for_loss(claimed: Claim) -> str:
    for _ in range(200):
        try:
            claimed.check()
        except ClaimLostError as lost:
            return str(lost)
        threading.Event().wait(0.01)
    return "kept"


def close_running(engine: Engine) -> None:
    with writing(engine) as connection:
        running = connection.scalar(select(refresh_runs.c.id).where(refresh_runs.c.state == "running"))
        assert running is not None
        finish_run(connection, running, utc_now(connection), outcome="failed", reason="test")


def test_a_claim_holds_lock_and_run_for_the_length_of_the_block(stores: Services) -> None:
    with claiming(stores.redis, stores.engine) as claimed:
        assert isinstance(claimed, Claim)
        claimed.check()
        token = stores.redis.get(LOCK_KEY)
        assert token.startswith(b"w1@host|task|")
        with claiming(stores.redis, stores.engine, worker="w2") as other:
            assert isinstance(other, Held)
            assert (other.holder, other.since) == ("w1@host", None)
            assert other.left is not None
            assert timedelta(0) < other.left <= LONG
        assert stores.redis.get(LOCK_KEY) == token
    assert stores.redis.get(LOCK_KEY) is None


def test_what_fails_within_the_block_gives_the_lock_back(stores: Services) -> None:
    def fail() -> None:
        with claiming(stores.redis, stores.engine):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stores.redis.get(LOCK_KEY) is None


def test_fresh_prices_give_no_claim_and_the_lock_back(stores: Services) -> None:
    fill(stores.engine, model("a/b"))
    with claiming(stores.redis, stores.engine, force=False) as fresh:
        assert isinstance(fresh, Fresh)
    assert stores.redis.get(LOCK_KEY) is None


def test_with_redis_emptied_the_database_still_says_who_runs(stores: Services) -> None:
    with claiming(stores.redis, stores.engine):
        stores.redis.flushall()
        with claiming(stores.redis, stores.engine, worker="w2") as other:
            assert isinstance(other, Held)
            assert (other.holder, other.left) == ("w1@host", None)
            assert other.since is not None


def test_without_redis_the_database_alone_decides(engine: Engine, no_redis: Redis) -> None:
    with claiming(no_redis, engine) as claimed:
        assert isinstance(claimed, Claim)
        assert claimed.degraded
        with claiming(no_redis, engine, worker="w2") as other:
            assert isinstance(other, Held)


def test_when_the_database_cannot_decide_there_is_no_claim_and_no_lock_left(redis: Redis) -> None:
    from prices.database import make_engine

    engine = make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db")

    def take() -> None:
        with claiming(redis, engine):
            pytest.fail("a claim was given")

    with pytest.raises(DatabaseUnavailableError):
        take()
    assert redis.get(LOCK_KEY) is None


def test_the_watchdog_keeps_lock_and_heartbeat_alive(stores: Services, renewed: threading.Semaphore) -> None:
    with claiming(stores.redis, stores.engine, lease=LEASE) as claimed:
        assert isinstance(claimed, Claim)
        with writing(stores.engine) as connection:
            connection.execute(update(refresh_runs).values(heartbeat_at=utc_now(connection) - LONG))
        for _ in range(6):  # twice the lease
            assert renewed.acquire(timeout=5)
        claimed.check()
        assert stores.redis.get(LOCK_KEY) is not None
        with reading(stores.engine) as connection:
            beaten = connection.scalar(select(refresh_runs.c.heartbeat_at))
            assert utc_now(connection) - beaten < LONG / 2
    ended = threading.enumerate()
    assert not [thread for thread in ended if thread.name == "claim-watchdog"]


def test_a_run_that_was_closed_by_another_loses_its_claim(stores: Services) -> None:
    with claiming(stores.redis, stores.engine, lease=LEASE) as claimed:
        assert isinstance(claimed, Claim)
        close_running(stores.engine)
        assert wait_for_loss(claimed) == "claim lost: the run was closed by another"


def test_a_run_older_than_the_cap_loses_its_claim(stores: Services) -> None:
    with claiming(stores.redis, stores.engine, lease=LEASE, ttl=timedelta(seconds=0.1)) as claimed:
        assert isinstance(claimed, Claim)
        assert "older than 0.1 s" in wait_for_loss(claimed)


def test_who_only_asked_while_redis_was_empty_does_not_take_the_claim_away(
    stores: Services, renewed: threading.Semaphore
) -> None:
    """Redis lost our lock: another takes the free lock and is about to hear from the database that we run."""
    with claiming(stores.redis, stores.engine, lease=LEASE) as claimed:
        assert isinstance(claimed, Claim)
        stores.redis.set(LOCK_KEY, make_token("w2", "task-2"), px=60_000)
        while renewed.acquire(blocking=False):
            pass
        for _ in range(2):
            renewed.acquire(timeout=1)
        assert not isinstance(try_to_start(stores.engine, worker="w2", lease=LONG), Claim)
        claimed.check()


def test_a_watchdog_whose_database_is_away_for_a_moment_goes_on(
    stores: Services, renewed: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []

    def fail_once(*_given: Any) -> bool:
        if not failures:
            failures.append("once")
            raise DatabaseUnavailableError("away for a moment")
        return True

    monkeypatch.setattr("prices.claim.beat_run", fail_once)
    with claiming(stores.redis, stores.engine, lease=LEASE) as claimed:
        assert isinstance(claimed, Claim)
        for _ in range(3):
            assert renewed.acquire(timeout=5)
        claimed.check()
