"""The database's word: at most one run is running, and the fence stops who was superseded."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, update

from prices.coordination.runs import Busy, Fresh, Started, beat_run, finish_run, pass_fence
from prices.errors import ClaimLostError
from prices.refresh.commit import commit
from prices.store.database import reading, utc_now, writing
from prices.store.tables import catalogue, refresh_runs
from prices.upstream.model_list import parse
from prices.upstream.received import Received
from tests.support.ledger import INTERVAL, LEASE, fill, started, try_to_start
from tests.support.lists import body, model


def age_heartbeat(engine: Engine, by: timedelta) -> None:
    with writing(engine) as connection:
        connection.execute(update(refresh_runs).values(heartbeat_at=utc_now(connection) - by))


def age_prices(engine: Engine, by: timedelta) -> None:
    with writing(engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=utc_now(connection) - by))


def row_of(engine: Engine, run_id: int) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(refresh_runs).where(refresh_runs.c.id == run_id)).one()


def test_of_many_that_start_at_once_exactly_one_does(engine: Engine) -> None:
    many = 4
    together = Barrier(many)

    def start(number: int) -> Started | Fresh | Busy:
        together.wait(10)
        return try_to_start(engine, worker=f"w{number}")

    with ThreadPoolExecutor(many) as pool:
        for _round in range(3):
            decided = list(pool.map(start, range(many)))
            (winner,) = [one for one in decided if isinstance(one, Started)]
            assert {one.run_id for one in decided if isinstance(one, Busy)} == {winner.run_id}
            assert sum(isinstance(one, Busy) for one in decided) == many - 1
            with writing(engine) as connection:
                finish_run(connection, winner.run_id, utc_now(connection), outcome="failed", reason="end")


def test_who_runs_is_named_with_how_long(engine: Engine) -> None:
    first = started(engine, worker="w1@host")
    with writing(engine) as connection:
        long_ago = utc_now(connection) - timedelta(minutes=5)
        connection.execute(update(refresh_runs).values(started_at=long_ago))
    busy = try_to_start(engine, worker="w2")
    assert isinstance(busy, Busy)
    assert (busy.run_id, busy.holder) == (first, "w1@host")
    assert timedelta(minutes=5) <= busy.since < timedelta(minutes=6)


def test_fresh_prices_start_no_run_and_stale_ones_do(engine: Engine) -> None:
    fill(engine, model("a/b"))
    age_prices(engine, 0.89 * INTERVAL)
    fresh = try_to_start(engine, forced=False)
    assert isinstance(fresh, Fresh)
    assert fresh.revision == 1
    assert fresh.age is not None
    assert 0.89 * INTERVAL <= fresh.age < 0.9 * INTERVAL
    age_prices(engine, 0.9 * INTERVAL)
    assert isinstance(try_to_start(engine, forced=False), Started)


def test_the_age_of_prices_that_are_fresh_and_of_a_time_ahead_is_unknown(engine: Engine) -> None:
    fill(engine, model("a/b"))
    age_prices(engine, -INTERVAL / 2)
    fresh = try_to_start(engine, forced=False)
    assert isinstance(fresh, Fresh)
    assert fresh.age is None


def test_force_passes_over_freshness_and_never_over_a_running_run(engine: Engine) -> None:
    fill(engine, model("a/b"))
    assert isinstance(try_to_start(engine, forced=True), Started)
    assert isinstance(try_to_start(engine, forced=True), Busy)


def test_a_run_whose_heart_stopped_is_closed_and_a_beating_one_is_not(engine: Engine) -> None:
    first = started(engine)
    age_heartbeat(engine, LEASE - timedelta(seconds=5))
    assert isinstance(try_to_start(engine), Busy)
    age_heartbeat(engine, LEASE + timedelta(seconds=1))
    second = started(engine, worker="w2")
    assert second > first
    assert (row_of(engine, first).state, row_of(engine, first).outcome) == ("finished", "failed")
    assert row_of(engine, first).reason.startswith("abandoned")


def test_a_heartbeat_from_the_future_does_not_hold_the_claim_for_ever(engine: Engine) -> None:
    started(engine)
    age_heartbeat(engine, timedelta(days=-30))  # the clock was set back since
    assert isinstance(try_to_start(engine), Started)


def test_a_heartbeat_counts_only_while_the_run_is_running(engine: Engine) -> None:
    run = started(engine)
    age_heartbeat(engine, timedelta(seconds=50))
    with writing(engine) as connection:
        assert beat_run(connection, run)
        now = utc_now(connection)
    assert now - row_of(engine, run).heartbeat_at < timedelta(seconds=5)
    with writing(engine) as connection:
        assert finish_run(connection, run, now, outcome="failed", reason=None)
    with writing(engine) as connection:
        assert not beat_run(connection, run)
        assert not beat_run(connection, run + 1)


def test_a_run_is_closed_once(engine: Engine) -> None:
    run = started(engine)
    with writing(engine) as connection:
        now = utc_now(connection)
        assert finish_run(connection, run, now, outcome="failed", reason="first")
        assert not finish_run(connection, run, now, outcome="refreshed", reason="second")
    assert (row_of(engine, run).outcome, row_of(engine, run).reason) == ("failed", "first")


def test_the_number_of_a_run_is_never_given_out_twice(engine: Engine) -> None:
    first = started(engine)
    with writing(engine) as connection:
        connection.execute(refresh_runs.delete())
    assert started(engine) > first


def test_a_start_that_is_rolled_back_leaves_neither_row_nor_fence(engine: Engine) -> None:
    def fail(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("UPDATE catalogue"):
            raise ZeroDivisionError

    event.listen(engine, "after_cursor_execute", fail)
    with pytest.raises(ZeroDivisionError):
        started(engine)
    event.remove(engine, "after_cursor_execute", fail)
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(refresh_runs)) == 0
        assert connection.scalar(select(catalogue.c.fence)) == 0


def test_a_superseded_run_does_not_pass_the_fence(engine: Engine) -> None:
    first = started(engine)
    age_heartbeat(engine, 2 * LEASE)
    second = started(engine)
    with pytest.raises(ClaimLostError), writing(engine) as connection:
        pass_fence(connection, first)
    with writing(engine) as connection:
        assert pass_fence(connection, second).fence == second


def test_nobody_starts_while_a_commit_is_under_way(engine: Engine) -> None:
    run = started(engine)
    age_heartbeat(engine, 2 * LEASE)
    received = body(model("a/b"))
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as connection:
            pass_fence(connection, run)
            waiting = pool.submit(try_to_start, engine, forced=False)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            now = utc_now(connection)
            connection.execute(update(catalogue).values(refreshed_at=now, revision=1))
            finish_run(connection, run, now, outcome="refreshed", reason=None)
        assert isinstance(waiting.result(10), Fresh)
    with pytest.raises(ClaimLostError):
        commit(engine, run + 1, parse(received), Received(received).receipt, None)
