"""The operator's hand on the lock: seen in both stores, and taken from one named holder only."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from prices.coordination.lease import Lease, make_token
from prices.coordination.runs import Attempt
from prices.errors import ClaimLostError, DatabaseUnavailableError
from prices.operations.lock import LockState, break_lock, show_lock
from prices.refresh.claim import Claim
from prices.refresh.claiming import claim
from prices.refresh.commit import commit
from prices.runtime.redis_client import LOCK_KEY, make_redis
from prices.services import Services
from prices.store.database import make_engine, reading
from prices.store.tables import refresh_runs
from prices.upstream.model_list import parse
from prices.upstream.received import Received
from tests.support.ledger import LEASE, started
from tests.support.lists import body, model


def without_redis(services: Services) -> Services:
    return replace(services, redis=make_redis("redis://127.0.0.1:1/0"))


def runs(services: Services) -> list[tuple[str, str | None, str | None]]:
    with reading(services.engine) as connection:
        rows = connection.execute(select(refresh_runs).order_by(refresh_runs.c.id)).all()
    return [(row.state, row.outcome, row.reason) for row in rows]


def held_in_redis(services: Services) -> str:
    lease = Lease(services.redis, LOCK_KEY, make_token("w1@host", "task"), lease=LEASE)
    assert lease.take() is None
    return lease.token


def test_a_lock_that_nobody_holds_is_shown_as_free(stores: Services) -> None:
    assert show_lock(stores) == LockState()
    assert show_lock(stores).token is None


def test_a_claim_is_shown_in_both_stores_under_one_token(stores: Services) -> None:
    with claim(stores, Attempt("w1@host", "task", forced=True)) as claimed:
        assert isinstance(claimed, Claim)
        shown = show_lock(stores)
        assert shown.token == shown.redis_token == shown.run_token
        assert shown.run_id == claimed.run_id
        assert 0 < (shown.redis_seconds_left or 0) <= 60
        assert 0 <= (shown.run_seconds or 0) < 30
        assert 0 <= (shown.heartbeat_seconds or 0) < 30
    assert show_lock(stores).redis_token is None


def test_without_redis_the_databases_word_is_shown_and_the_trouble_told(stores: Services) -> None:
    run = started(stores.engine, token="w1|-|nonce")
    shown = show_lock(without_redis(stores))
    assert (shown.run_id, shown.token) == (run, "w1|-|nonce")
    assert (shown.redis_trouble or "").startswith("Redis failed (ConnectionError): nothing listens")


def test_without_the_database_nothing_is_shown_or_broken(stores: Services) -> None:
    token = held_in_redis(stores)
    nowhere = replace(stores, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))
    with pytest.raises(DatabaseUnavailableError):
        show_lock(nowhere)
    with pytest.raises(DatabaseUnavailableError):
        break_lock(nowhere, token, by="me")
    assert stores.redis.get(LOCK_KEY) == token.encode()


def test_a_broken_claim_finds_out_frees_the_way_and_commits_nothing(stores: Services) -> None:
    with claim(stores, Attempt("w1@host", "task", forced=True)) as claimed:
        assert isinstance(claimed, Claim)
        assert break_lock(stores, str(show_lock(stores).token), by="operator@host")
        assert show_lock(stores) == LockState()
        assert not claimed.renew()
        with pytest.raises(ClaimLostError, match="claim lost"):
            claimed.check()
        received = body(model("a/one"))
        with pytest.raises(ClaimLostError):
            commit(stores.engine, claimed.run_id, parse(received), Received(received).receipt, None)
    assert runs(stores) == [("finished", "failed", "claim lost: broken by operator@host")]
    started(stores.engine)


def test_another_token_breaks_nothing(stores: Services) -> None:
    token = held_in_redis(stores)
    run = started(stores.engine, token=token)
    for other in (make_token("w1@host", "task"), "", token[:-1], f"{token} "):
        assert not break_lock(stores, other, by="me")
    shown = show_lock(stores)
    assert (shown.run_id, shown.redis_token, shown.run_token) == (run, token, token)
    assert runs(stores) == [("running", None, None)]


def test_each_store_is_freed_of_its_own_holder_only(stores: Services) -> None:
    """Redis lost the lock and gave it to another, who now hears from the database that the first runs."""
    in_redis = held_in_redis(stores)
    started(stores.engine, token="w2|-|nonce")
    assert break_lock(stores, "w2|-|nonce", by="me")
    assert show_lock(stores).token == in_redis
    assert break_lock(stores, in_redis, by="me")
    assert show_lock(stores) == LockState()
    assert len(runs(stores)) == 1


def test_a_lock_is_broken_once(stores: Services) -> None:
    token = held_in_redis(stores)
    started(stores.engine, token=token)
    assert break_lock(stores, token, by="first")
    assert not break_lock(stores, token, by="second")
    assert runs(stores) == [("finished", "failed", "claim lost: broken by first")]


def test_without_redis_the_run_is_closed_all_the_same(stores: Services) -> None:
    token = held_in_redis(stores)
    started(stores.engine, token=token)
    assert break_lock(without_redis(stores), token, by="me")
    assert runs(stores) == [("finished", "failed", "claim lost: broken by me")]
    assert stores.redis.get(LOCK_KEY) == token.encode()
