"""The report of many instances: one asks, the others are told, and of its own trouble each speaks itself."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from redis import Redis

from prices.operations import health, shared_report
from prices.operations.health import HealthReporter
from prices.operations.shared_report import AGAIN_SECONDS, ALONE_SECONDS, KEPT_SECONDS, SharedReporter
from prices.runtime.redis_client import make_redis
from prices.services import Services
from prices.store.database import make_engine
from tests.support.ledger import fill
from tests.support.lists import model
from tests.support.made_clock import MadeClock

NOWHERE = "postgresql+psycopg://u:hunter2@127.0.0.1:1/db"


class Instance:
    """A web instance: its reporter, which counts how often it asks the stores itself."""

    def __init__(self, services: Services, redis: Redis | None = None) -> None:
        self.asked = 0
        self.clock = MadeClock()
        self.stores = HealthReporter(services)
        itself: Any = self
        seen = replace(services, redis=redis or services.redis)
        self.reporter = SharedReporter(itself, seen, self.clock.monotonic)

    def report(self) -> dict[str, Any]:
        """As HealthReporter: called by the shared reporter."""
        self.asked += 1
        return self.stores.report()

    def told(self) -> dict[str, Any]:
        return self.reporter.report()


@pytest.fixture
def filled(stores: Services) -> Services:
    """A cluster of instances that know their deployment, as they do a moment after their start."""
    fill(stores.engine, model("a/one"))
    assert stores.keys.deployment
    return stores


@pytest.fixture
def cut_off(filled: Services) -> Services:
    """The same stores for an instance that cannot reach the database."""
    return replace(filled, engine=make_engine(NOWHERE))


def pass_the_turn(services: Services) -> None:
    """Let the turn go to whoever asks next, as it does after two seconds."""
    services.redis.delete(services.keys.report_turn(services.deployment.scope))


def test_of_many_who_ask_at_once_one_asks_the_stores(filled: Services) -> None:
    instances = [Instance(filled) for _ in range(8)]
    with ThreadPoolExecutor(len(instances)) as pool:
        reports = list(pool.map(Instance.told, instances))
    assert sum(instance.asked for instance in instances) == 1
    assert {report["database"]["status"] for report in reports} == {"ok"}
    assert {report["prices"]["revision"] for report in reports} == {1}


def test_the_next_turn_is_anothers_and_all_are_told_of_it(filled: Services) -> None:
    one, two = Instance(filled), Instance(filled)
    one.told()
    fill(filled.engine, model("a/two"))
    assert two.told()["prices"]["revision"] == 1
    pass_the_turn(filled)
    assert two.told()["prices"]["revision"] == 2
    assert one.told()["prices"]["revision"] == 2
    assert (one.asked, two.asked) == (1, 1)


def test_prices_that_another_told_of_have_aged_since(filled: Services) -> None:
    one, two = Instance(filled), Instance(filled)
    first = one.told()["prices"]["age_seconds"]
    filled.redis.pexpire(
        filled.keys.report(filled.deployment.scope), round((KEPT_SECONDS - 3) * 1000)
    )  # as three seconds later
    assert first + 3 <= two.told()["prices"]["age_seconds"] < first + 4


def test_what_was_told_holds_while_whoever_has_the_turn_is_slow(filled: Services) -> None:
    one, two = Instance(filled), Instance(filled)
    one.told()
    pass_the_turn(filled)
    filled.redis.set(filled.keys.report_turn(filled.deployment.scope), b"", px=20_000)
    assert two.told()["status"] == "degraded"
    assert two.asked == 0


def test_an_instance_that_cannot_reach_the_database_speaks_for_itself_alone(
    filled: Services, cut_off: Services
) -> None:
    well, broken = Instance(filled), Instance(cut_off)
    well.told()
    pass_the_turn(filled)
    assert broken.told()["status"] == "unhealthy"
    assert well.told()["database"]["status"] == "ok"
    assert broken.told()["status"] == "unhealthy"  # whatever others find
    assert (well.asked, broken.asked) == (1, 1)
    broken.stores = HealthReporter(filled)
    broken.clock.stand_still(AGAIN_SECONDS[1])
    assert broken.told()["database"]["status"] == "ok"
    assert broken.asked == 2


def test_where_nobody_can_use_the_database_each_sees_for_itself_now_and_then(
    cut_off: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_report, "POLLS", 2)
    cut_off.redis.set(cut_off.keys.report_turn(cut_off.deployment.scope), b"", px=60_000)
    instances = [Instance(cut_off) for _ in range(3)]
    for _probe in range(4):
        assert {instance.told()["status"] for instance in instances} == {"unhealthy"}
    assert [instance.asked for instance in instances] == [1, 1, 1]
    for instance in instances:
        instance.clock.stand_still(AGAIN_SECONDS[1])
        instance.told()
    assert [instance.asked for instance in instances] == [2, 2, 2]


LATE = {"status": "down", "reason": "no answer within 1 s", "late": True}


@pytest.mark.parametrize(
    ("wanting", "status"), [({"status": "full"}, "full"), (LATE, "slow")], ids=["full", "late"]
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_is_full_or_slow_for_one_counts_when_no_other_has_used_it(
    wanting: dict[str, Any], status: str, filled: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Instance(filled), Instance(filled)
    one.told()
    monkeypatch.setattr(health, "check_database", lambda *_given: dict(wanting))
    pass_the_turn(filled)
    assert two.told()["database"]["status"] == "ok"
    assert two.asked == 1
    filled.redis.delete(filled.keys.report(filled.deployment.scope))  # as ten seconds later
    told = two.told()
    assert (told["status"], told["database"]) == ("degraded", wanting | {"status": status})
    assert two.asked == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_late_answers_make_an_instance_unhealthy_once_there_were_no_others_for_long(
    filled: Services, no_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = Instance(replace(filled, redis=no_redis))

    def told_after(seconds: float) -> tuple[str, str]:
        instance.clock.stand_still(seconds)
        told = instance.told()
        return told["status"], told["database"]["status"]

    with monkeypatch.context() as patch:
        patch.setattr(health, "check_database", lambda *_given: dict(LATE))
        assert told_after(0) == ("degraded", "slow")
        assert told_after(KEPT_SECONDS - 0.1) == ("degraded", "slow")
        assert told_after(0.1) == ("unhealthy", "down")
    assert told_after(ALONE_SECONDS[1]) == ("degraded", "ok")
    monkeypatch.setattr(health, "check_database", lambda *_given: dict(LATE))
    assert told_after(ALONE_SECONDS[1]) == ("degraded", "slow")


def test_without_redis_each_asks_the_database_seldom(filled: Services, no_redis: Redis) -> None:
    instance = Instance(replace(filled, redis=no_redis))
    for _probe in range(5):
        told = instance.told()
        instance.clock.stand_still(ALONE_SECONDS[0] / 6)
    assert (told["status"], told["database"]["status"], told["redis"]["status"]) == ("degraded", "ok", "down")
    assert instance.asked == 1
    instance.clock.stand_still(ALONE_SECONDS[1])
    instance.told()
    assert instance.asked == 2


def test_an_instance_says_at_once_that_redis_has_gone_whatever_it_found_before(
    filled: Services, no_redis: Redis
) -> None:
    instance = Instance(filled)
    assert instance.told()["redis"]["status"] == "ok"
    instance.reporter._redis = no_redis
    instance.stores = HealthReporter(replace(filled, redis=no_redis))
    for _probe in range(3):
        told = instance.told()
        assert (told["status"], told["database"]["status"], told["redis"]["status"]) == (
            "degraded",
            "ok",
            "down",
        )
    assert instance.asked == 2


@pytest.mark.parametrize(
    "garbage", [b"\xff", b"[]", b"{}", b'{"prices": 1}', b'{"prices": {"status": "ok", "age_seconds": "x"}}']
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_no_report_is_not_told(
    garbage: bytes, filled: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_report, "POLLS", 2)
    filled.redis.set(filled.keys.report_turn(filled.deployment.scope), b"", px=20_000)
    filled.redis.set(filled.keys.report(filled.deployment.scope), garbage, px=5_000)
    instance = Instance(filled)
    assert instance.told()["prices"]["revision"] == 1
    assert instance.asked == 1


def test_a_report_without_an_age_is_told_as_it_is(stores: Services) -> None:
    assert stores.keys.deployment
    one, two = Instance(stores), Instance(stores)
    one.told()
    assert two.told()["prices"]["age_seconds"] is None
    assert two.asked == 0


def test_what_is_shared_holds_no_secret(filled: Services) -> None:
    Instance(filled).told()
    shared = msgspec.json.decode(filled.redis.get(filled.keys.report(filled.deployment.scope)))
    assert "@" not in repr(shared)


def test_a_redis_that_goes_away_while_its_report_is_written_harms_nobody(
    filled: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = Instance(filled)
    report = instance.stores.report

    def last_report() -> dict[str, Any]:
        made = report()
        instance.reporter._redis = make_redis("redis://127.0.0.1:1/0")
        return made

    monkeypatch.setattr(instance.stores, "report", last_report)
    assert instance.told()["database"]["status"] == "ok"
