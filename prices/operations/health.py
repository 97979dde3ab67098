"""The one report of how the service is: for load balancers, pages, metrics and the status command."""

from collections.abc import Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis import Redis
from sqlalchemy import Engine, Row

from prices.coordination.freshness import age_of, is_fresh
from prices.coordination.heartbeats import MOST_NAMED, who_lives
from prices.coordination.lease import read_holder
from prices.coordination.retries import REFRESHED_AHEAD, next_run
from prices.errors import DatabaseFullError, OverloadedError, PricesError, one_line
from prices.runtime.background import Question
from prices.runtime.bounds import seconds_left, within
from prices.runtime.deployment import Deployment
from prices.runtime.redis_client import redis_errors
from prices.services import Services
from prices.store import queries
from prices.store.database import reading

CHECK_SECONDS: Final = 1.0
HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
PARTS: Final = ("database", "redis", "worker", "beat", "prices")
OK, DOWN, FULL, SLOW, SHARED, UNPUBLISHED = "ok", "down", "full", "slow", "shared", "unpublished"
"""How a part is; `full` is a database that allows no more connections, `slow` one that answers late, `shared`
a Redis in which another deployment has the same keys, `unpublished` prices that Redis does not hold."""


class HealthReporter:
    """Makes the report for one set of clients. A check that hangs is shared by the reports that wait."""

    def __init__(self, services: Services) -> None:
        interval = services.settings.refresh_interval
        self._database = Question(lambda: check_database(services.engine, services.deployment, interval))
        self._redis = Question(lambda: check_redis(services.redis, services.deployment))

    def report(self) -> dict[str, Any]:
        """Make the full report: `status` and the parts it follows from. Takes about a second at most.

        `status` is unhealthy when the database cannot be used, degraded when anything else is wrong
        (Redis, no worker, no beat, old prices, a failed last run), else healthy.
        """
        asked = (self._database.asked(), self._redis.asked())
        wait(asked, timeout=CHECK_SECONDS)
        database, redis = (_answer(future) for future in asked)
        prices = database.pop(
            "prices", {"status": "unknown", "last_run": None, "next_run": None, "next_run_reason": None}
        )
        confirmed, published = database.pop("refresh_commit", None), redis.get("published")
        if prices["status"] == OK and None not in (confirmed, published) and confirmed != published:
            reason = "Redis holds other prices than the database's last; they are replaced within seconds"
            prices |= {"status": UNPUBLISHED, "reason": reason}
        parts = {
            "database": database,
            "redis": {name: redis[name] for name in ("status", "reason", "late", "lock") if name in redis},
            "worker": redis.get("worker", {"status": "unknown", "reason": "Redis does not answer"}),
            "beat": redis.get("beat", {"status": "unknown", "reason": "Redis does not answer"}),
            "prices": prices,
        }
        return {"status": overall(parts), "at": datetime.now(UTC).isoformat(timespec="seconds"), **parts}


def _answer(future: "Future[dict[str, Any]]") -> dict[str, Any]:
    if not future.done():
        return _late()
    try:
        return dict(future.result())
    except OverloadedError as error:
        return {"status": "unknown", "reason": one_line(error)}


def _late() -> dict[str, Any]:
    return {"status": DOWN, "reason": f"no answer within {CHECK_SECONDS:g} s", "late": True}


def overall(parts: dict[str, dict[str, Any]]) -> str:
    """Say how the whole is from how its parts are.

    A database that allows no more connections is degraded, not unhealthy: a balancer that took instances away
    for that would press upon the others.
    """
    if parts["database"]["status"] == DOWN:
        return UNHEALTHY
    return HEALTHY if all(part["status"] == OK for part in parts.values()) else DEGRADED


def check_database(engine: Engine, deployment: Deployment, interval: timedelta) -> dict[str, Any]:
    """Check that the database answers and has this version's tables; tell what it knows of the prices."""
    with within(0.8 * CHECK_SECONDS):
        try:
            with reading(engine) as connection:
                queries.require_schema(connection)
                state = queries.catalogue_state(connection)
                run = queries.last_run(connection)
            deployment.learn(state.deployment)
        except DatabaseFullError as error:
            return {"status": FULL, "reason": one_line(error)}
        except PricesError as error:
            return _late() if seconds_left() <= 0 else {"status": DOWN, "reason": one_line(error)}
    return {
        "status": "ok",
        "prices": _prices(state, run, interval),
        "refresh_commit": state.refresh_commit,
    }


def _prices(state: queries.CatalogueState, last_run: Row[Any] | None, interval: timedelta) -> dict[str, Any]:
    run = queries.describe_run(last_run) if last_run else None
    due = next_run(state.refreshed_at, last_run, interval, state.now)
    age = age_of(state.refreshed_at, state.now)
    told: dict[str, Any] = {
        "status": "ok",
        "age_seconds": None if age is None else age.total_seconds(),
        "revision": state.revision,
        "commit": state.revision_commit,
        "refreshed_at": state.refreshed_at and state.refreshed_at.isoformat(),
        "last_run": run,
        "next_run": due.at and due.at.isoformat(),
        "next_run_reason": due.reason,
    }
    failure = f"the last run failed: {run['reason']}" if run and run["outcome"] == "failed" else None
    if state.refreshed_at is None:
        return told | {"status": "empty", "reason": failure or "never refreshed"}
    why = f", {failure}" if failure else ""
    if age is None:
        return told | {"status": "stale", "reason": f"{REFRESHED_AHEAD}: their age is unknown{why}"}
    if not is_fresh(state.refreshed_at, state.now, 2 * interval):
        hours = age / timedelta(hours=1)
        return told | {"status": "stale", "reason": f"the prices are {hours:.1f} h old{why}"}
    return told | {"status": "failing", "reason": failure} if failure else told


def check_redis(redis: Redis, deployment: Deployment) -> dict[str, Any]:
    """Check that Redis answers; tell who lives, who leads and who holds the lock."""
    try:
        keys = deployment.known() or deployment.keys()
        alive = who_lives(redis, keys)
        leader, holder = read_holder(redis, keys.beat_leader), read_holder(redis, keys.lock)
        with redis_errors():
            published: Any = redis.hget(keys.snapshot, "commit")
        foreign = holder is not None and holder.is_foreign(keys.deployment)
    except PricesError as error:
        return {"status": "down", "reason": one_line(error)}
    others = sorted({*alive.others, *([holder.name] if holder and foreign else [])})
    return {
        **_alone(others),
        "published": None if published is None else published.decode(errors="replace"),
        "lock": holder
        and {"holder": holder.name, "seconds_left": holder.left.total_seconds(), "foreign": foreign},
        "worker": {**_alive(alive.workers, "worker"), "workers": alive.workers},
        "beat": {
            **_alive(alive.beats, "beat"),
            "leader": leader and leader.name,
            "beats": alive.beats,
        },
    }


def _alone(others: Sequence[str]) -> dict[str, Any]:
    """Say whether this deployment has the keys of its prefix to itself; name the processes of another."""
    if not others:
        return {"status": OK}
    named = ", ".join(others[:MOST_NAMED]) + (", ..." if len(others) > MOST_NAMED else "")
    reason = f"another deployment uses this Redis ({named}): set PRICE_KEY_PREFIX for one of the two"
    return {"status": SHARED, "reason": reason}


def _alive(spoken: dict[str, float], kind: str) -> dict[str, Any]:
    return {"status": "ok"} if spoken else {"status": "down", "reason": f"no {kind} has been heard of lately"}
