"""The one report of how the service is."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from prices.coordination.heartbeats import forget, say_alive
from prices.coordination.lease import Lease, make_token
from prices.coordination.runs import fail_run, finish_run
from prices.errors import DatabaseUnavailableError
from prices.operations import health
from prices.operations.health import HealthReporter, overall
from prices.runtime.redis_client import LOCK_KEY, make_redis
from prices.services import Services
from prices.store.database import make_engine, utc_now, writing
from prices.store.tables import catalogue
from tests.support.ledger import INTERVAL, fill, started
from tests.support.lists import model

PARTS = ("database", "redis", "worker", "beat", "prices")


@pytest.fixture
def lively(stores: Services) -> Services:
    """A cluster in which everything is well."""
    fill(stores.engine, model("a/one"))
    say_alive(stores.redis, stores.keys, "worker", "w1@host")
    say_alive(stores.redis, stores.keys, "beat", "celerybeat@host")
    leader = make_token("celerybeat@host")
    Lease(stores.redis, stores.keys.beat_leader, leader, lease=timedelta(seconds=60)).take()
    return stores


def report(services: Services) -> dict[str, Any]:
    return HealthReporter(services).report()


def age(services: Services, by: timedelta) -> None:
    with writing(services.engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=utc_now(connection) - by))


def statuses(told: dict[str, Any]) -> dict[str, str]:
    return {part: told[part]["status"] for part in PARTS}


def test_a_cluster_in_which_all_is_well_is_healthy_and_tells_the_whole(lively: Services) -> None:
    told = report(lively)
    assert told["status"] == "healthy"
    assert statuses(told) == dict.fromkeys(PARTS, "ok")
    assert told["prices"]["revision"] == 1
    assert 0 <= told["prices"]["age_seconds"] < 60
    assert told["prices"]["last_run"]["outcome"] == "refreshed"
    assert told["prices"]["next_run"] > told["prices"]["refreshed_at"]
    assert told["prices"]["next_run_reason"] == "on schedule"
    assert list(told["worker"]["workers"]) == ["w1@host"]
    assert told["beat"]["leader"] == "celerybeat@host"
    assert told["redis"]["lock"] is None


def test_who_holds_the_lock_is_told(lively: Services) -> None:
    Lease(lively.redis, LOCK_KEY, make_token("w1@host", "task"), lease=timedelta(seconds=60)).take()
    told = report(lively)["redis"]["lock"]
    assert told["holder"].startswith("w1@host")
    assert 0 < told["seconds_left"] <= 60


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_without_any_worker_or_beat_the_service_is_degraded(kind: str, lively: Services) -> None:
    forget(lively.redis, lively.keys, kind, {"worker": "w1@host", "beat": "celerybeat@host"}[kind])
    told = report(lively)
    assert (told["status"], told[kind]["status"]) == ("degraded", "down")
    assert told[kind]["reason"] == f"no {kind} has been heard of lately"


def test_without_redis_the_service_is_degraded_and_workers_are_unknown(lively: Services) -> None:
    told = report(replace(lively, redis=make_redis("redis://127.0.0.1:1/0")))
    assert told["status"] == "degraded"
    assert statuses(told) == {
        "database": "ok", "redis": "down", "worker": "unknown", "beat": "unknown", "prices": "ok",
    }  # fmt: skip


def test_without_the_database_the_service_is_unhealthy(lively: Services) -> None:
    told = report(replace(lively, engine=make_engine("postgresql+psycopg://u:hunter2@127.0.0.1:1/db")))
    assert told["status"] == "unhealthy"
    assert statuses(told) == {
        "database": "down", "redis": "ok", "worker": "ok", "beat": "ok", "prices": "unknown",
    }  # fmt: skip
    assert "hunter2" not in repr(told)


def test_a_schema_that_is_behind_is_unhealthy_and_says_what_to_do(lively: Services, tmp_path: Any) -> None:
    empty = make_engine(f"sqlite:///{tmp_path}/empty.sqlite3")
    told = report(replace(lively, engine=empty))
    assert told["status"] == "unhealthy"
    assert "deploy_migrations.py" in told["database"]["reason"]
    empty.dispose()


def test_before_the_first_refresh_the_prices_are_empty(stores: Services) -> None:
    told = report(stores)["prices"]
    assert (told["status"], told["age_seconds"], told["next_run"], told["last_run"]) == (
        "empty",
        None,
        None,
        None,
    )


def test_prices_older_than_two_windows_are_stale(lively: Services) -> None:
    age(lively, 1.79 * INTERVAL)
    assert report(lively)["prices"]["status"] == "ok"
    age(lively, 1.81 * INTERVAL)
    told = report(lively)
    assert (told["status"], told["prices"]["status"]) == ("degraded", "stale")


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(hours=5), timedelta(days=3)])
def test_prices_of_a_time_well_ahead_of_the_clock_are_stale_and_of_unknown_age(
    ahead: timedelta, lively: Services
) -> None:
    age(lively, -ahead)
    told = report(lively)
    prices = told["prices"]
    assert (told["status"], prices["status"], prices["age_seconds"]) == ("degraded", "stale", None)
    reason = "the time of the last refresh lies ahead of the database's clock"
    assert prices["reason"] == f"{reason}: their age is unknown"
    is_sent = ahead > INTERVAL
    assert (prices["next_run"] is None, prices["next_run_reason"] == reason) == (is_sent, is_sent)


def test_prices_of_a_time_a_little_ahead_of_the_clock_are_new(lively: Services) -> None:
    age(lively, -timedelta(seconds=50))
    told = report(lively)
    assert (told["status"], told["prices"]["age_seconds"]) == ("healthy", 0)


def test_after_a_failure_the_next_attempt_is_told_with_its_reason(lively: Services) -> None:
    age(lively, INTERVAL)
    run = started(lively.engine)
    with writing(lively.engine) as connection:
        now = utc_now(connection)
        fail_run(connection, run, now, "upstream answered 503", timedelta(hours=5))
    told = report(lively)["prices"]
    assert told["next_run"] == told["last_run"]["retry_at"] == (now + timedelta(hours=5)).isoformat()
    assert told["next_run_reason"] == "attempt 1 failed: upstream answered 503"


def test_a_last_run_that_failed_is_told_with_its_reason(lively: Services) -> None:
    run = started(lively.engine)
    with writing(lively.engine) as connection:
        finish_run(connection, run, utc_now(connection), outcome="failed", reason="upstream answered 500")
    told = report(lively)
    assert (told["status"], told["prices"]["status"]) == ("degraded", "failing")
    assert told["prices"]["reason"] == "the last run failed: upstream answered 500"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_not_well_shows_in_the_whole(part: str) -> None:
    parts = {name: {"status": "ok"} for name in PARTS}
    assert overall(parts) == "healthy"
    parts[part]["status"] = "down"
    assert overall(parts) == ("unhealthy" if part == "database" else "degraded")


def hanging(go_on: threading.Event) -> Callable[..., dict[str, Any]]:
    def hang(*_given: Any) -> dict[str, Any]:
        go_on.wait(20)
        raise DatabaseUnavailableError("it hung")

    return hang


@pytest.fixture
def hung_database(monkeypatch: pytest.MonkeyPatch) -> Any:
    go_on = threading.Event()
    monkeypatch.setattr(health, "check_database", hanging(go_on))
    yield go_on
    go_on.set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_hangs_is_told_as_down_in_time_and_hides_nothing_else(
    lively: Services, hung_database: threading.Event
) -> None:
    reporter = HealthReporter(lively)
    for _probe in range(2):
        told = reporter.report()
        assert (told["database"]["status"], told["database"]["reason"]) == ("down", "no answer within 1 s")
        assert told["redis"]["status"] == "ok"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_probes_of_a_database_that_hangs_do_not_pile_up(
    lively: Services, hung_database: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    check = health.check_database

    def counted(*given: Any) -> dict[str, Any]:
        begun.append(1)
        return check(*given)

    monkeypatch.setattr(health, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(health, "check_database", counted)
    reporter = HealthReporter(lively)
    for _probe in range(8):
        reporter.report()
    assert len(begun) == 1
