"""Two deployments on one Redis without a prefix: each serves, counts and obeys its own only, and says so."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from prices.coordination.heartbeats import say_alive
from prices.coordination.lease import Lease, make_token, read_holder
from prices.coordination.runs import Attempt
from prices.operations.health import HealthReporter
from prices.operations.lock import break_lock, show_lock
from prices.refresh.claim import Claim
from prices.refresh.claiming import claim
from prices.refresh.stash import Stash
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import LOCK_KEY
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import reading, writing
from prices.store.queries import catalogue_state
from prices.store.tables import catalogue
from tasks import refresh as task
from tasks.messages import DEPLOYMENT
from tests.support.lists import body, model
from tests.support.readers import reader_of

MINUTE = timedelta(minutes=1)


class Pair(NamedTuple):
    ours: Services
    theirs: Services


@pytest.fixture
def pair(
    redis_url: str,
    tmp_path: Path,
    migrated_sqlite: Path,
    make_services: Callable[[Settings], Services],
) -> Pair:
    """Clients of two databases and one Redis; one upstream lists a/ours, the other a/theirs."""
    made = []
    for name in Pair._fields:
        database = tmp_path / f"{name}.sqlite3"
        database.write_bytes(migrated_sqlite.read_bytes())
        services = make_services(
            Settings.from_env({"DATABASE_URL": f"sqlite:///{database}", "REDIS_URL": redis_url})
        )
        with writing(services.engine) as connection:
            connection.execute(catalogue.update().values(deployment=name))
        made.append(replace(services, fetch=_listing(f"a/{name}")))
    return Pair(*made)


def _listing(slug: str) -> Callable[..., bytes]:
    return lambda *_given: body(model(slug))


def foreign_lock(pair: Pair) -> Lease:
    """Let the other deployment hold the lock."""
    token = make_token("their@worker", "task", "1700000000", pair.theirs.keys.deployment)
    lock = Lease(pair.theirs.redis, LOCK_KEY, token, lease=MINUTE)
    assert lock.take() is None
    return lock


def refresh(services: Services, **other: Any) -> Any:
    return refresh_prices(services, worker="w", task_id="task", trust_marker=True, **other)


def test_each_refreshes_and_serves_its_own_list(pair: Pair) -> None:
    for services in pair:
        assert refresh(services).outcome == "refreshed"
    for services, name in zip(pair, Pair._fields, strict=True):
        assert list(reader_of(services).current().documents) == [f"a/{name}"]
        assert refresh(services).reason == "fresh"


def test_a_lock_of_another_deployment_is_named_and_not_obeyed(pair: Pair) -> None:
    lock = foreign_lock(pair)
    with capture_logs() as logs:
        done = refresh(pair.ours)
    assert (done.outcome, done.degraded) == ("refreshed", True)
    (named,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (named["holder"], named["deployment"]) == ("their@worker", "theirs")
    assert "PRICE_KEY_PREFIX" in named["event"]
    assert read_holder(pair.ours.redis, LOCK_KEY).token == lock.token  # type: ignore[union-attr]


def test_a_claim_goes_on_though_another_deployment_takes_the_lock_meanwhile(pair: Pair) -> None:
    with claim(pair.ours, Attempt("w", forced=True)) as claimed:
        assert isinstance(claimed, Claim)
        pair.ours.redis.delete(LOCK_KEY)
        foreign_lock(pair)
        assert [claimed.renew() for _ in range(3)] == [True, True, True]


def test_a_lock_of_ours_is_obeyed_and_one_that_does_not_say_whose_it_is(pair: Pair) -> None:
    for token in (make_token("w", "task", "1700000000", "ours"), make_token("w", "task", "1700000000")):
        lock = Lease(pair.ours.redis, LOCK_KEY, token, lease=MINUTE)
        assert lock.take() is None
        assert refresh(pair.ours, force=True).reason == "held"
        lock.release()


def test_the_body_that_another_deployment_received_is_not_used_and_not_taken_away(pair: Pair) -> None:
    def stash(services: Services) -> Stash:
        return Stash(services.redis, services.engine, "source", 60 * MINUTE, keys=services.keys)

    stash(pair.theirs).put(7, b"theirs")
    with reading(pair.ours.engine) as connection:
        state = catalogue_state(connection)
    assert stash(pair.ours).get(state) is None
    stash(pair.ours).forget(9)
    assert pair.theirs.redis.hget(pair.theirs.keys.payload, "deployment") == b"theirs"
    stash(pair.ours).put(1, b"ours")
    assert pair.ours.redis.hget(pair.ours.keys.payload, "deployment") == b"ours"


def test_the_health_report_counts_our_processes_and_names_the_others(pair: Pair) -> None:
    say_alive(pair.theirs.redis, pair.theirs.keys, "worker", "their@worker")
    say_alive(pair.theirs.redis, pair.theirs.keys, "beat", "their@beat")
    report = HealthReporter(pair.ours).report()
    assert report["worker"]["status"] == report["beat"]["status"] == "down"
    assert (report["status"], report["redis"]["status"]) == ("degraded", "shared")
    assert "their@beat, their@worker" in report["redis"]["reason"]
    assert "PRICE_KEY_PREFIX" in report["redis"]["reason"]


def test_the_health_report_names_who_holds_a_foreign_lock(pair: Pair) -> None:
    foreign_lock(pair)
    report = HealthReporter(pair.ours).report()
    assert report["redis"]["lock"]["foreign"] is True
    assert "their@worker" in report["redis"]["reason"]


def test_the_lock_of_another_deployment_is_shown_as_such_and_not_broken(pair: Pair) -> None:
    lock = foreign_lock(pair)
    shown = show_lock(pair.ours)
    assert (shown.redis_foreign, shown.token) == (True, None)
    assert not break_lock(pair.ours, lock.token, by="test")
    assert read_holder(pair.ours.redis, LOCK_KEY) is not None


@pytest.mark.parametrize(("sender", "reason"), [("theirs", "foreign"), ("ours", None), (None, None)], ids=str)
def test_a_worker_refuses_what_another_deployments_beat_sent(
    sender: str | None, reason: str | None, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "services", lambda: pair.ours)
    task.refresh_prices.push_request(id="task", hostname="w", **{DEPLOYMENT: sender})
    try:
        done = task.refresh_prices.run()
    finally:
        task.refresh_prices.pop_request()
    assert done.get("reason") == reason
    assert done["outcome"] == ("skipped" if reason else "refreshed")
