"""Redis as a cluster: the keys of a script, and of a transaction, must lie in one hash slot."""

import importlib
import pkgutil
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import prices
from local.redis_server import RedisServer
from prices.beat.leader import Leadership
from prices.coordination.heartbeats import forget, say_alive
from prices.coordination.runs import Attempt
from prices.errors import RedisUnavailableError
from prices.operations.health import HealthReporter
from prices.operations.lock import break_lock, show_lock
from prices.operations.shared_report import SharedReporter
from prices.published import redis_copy
from prices.published.make import make_publication, publish_current
from prices.refresh.claim import Claim
from prices.refresh.claiming import claim
from prices.refresh.story import refresh_prices
from prices.runtime.deployment import remember
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import Keys, make_redis
from prices.runtime.settings import Settings
from prices.services import Services
from tests.support.lists import body, model
from tests.support.readers import reader_of

SLOTS = 16384


class ClusterServer(RedisServer):
    """A cluster of one node, which has all slots."""

    def _configuration(self) -> str:
        return f"{super()._configuration()}cluster-enabled yes\ncluster-config-file nodes.conf\n"


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ClusterServer(tmp_path_factory.mktemp("cluster"), persistent=False) as server:
        with make_redis(server.url) as redis:
            redis.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))
            deadline = time.monotonic() + 20
            while redis.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield server.url


@pytest.fixture(params=["", "staging:"])
def clustered(
    request: pytest.FixtureRequest,
    cluster_url: str,
    migrated_sqlite: Path,
    make_services: Any,
    tmp_path: Path,
) -> Services:
    """Clients of a database and of that cluster."""
    (tmp_path / "store.sqlite3").write_bytes(migrated_sqlite.read_bytes())
    services: Services = make_services(
        Settings.from_env(
            {
                "DATABASE_URL": f"sqlite:///{tmp_path}/store.sqlite3",
                "REDIS_URL": cluster_url,
                "PRICE_KEY_PREFIX": request.param,
            }
        )
    )
    services.redis.flushall()
    return replace(services, fetch=lambda *_given: body(model("a/one")))


def names_of(keys: Keys) -> list[str]:
    """Every key of the table."""
    ours = [
        name for name in dir(keys) if not name.startswith("_") and name not in {f.name for f in fields(keys)}
    ]
    values = [getattr(keys, name) for name in ours]
    return [value("digest") if callable(value) else value for value in values]


def slot_of(redis: Redis, key: str) -> Any:
    return redis.execute_command("CLUSTER", "KEYSLOT", key)


@pytest.mark.parametrize("prefix", ["", "staging:", "a.b_c-1:"])
def test_the_lock_keeps_its_name_and_all_keys_that_scripts_know_lie_in_its_slot(
    prefix: str, cluster_url: str
) -> None:
    keys = Keys(prefix, "0123456789abcdef")
    assert keys.lock == f"{prefix}cluster:price_update_lock"
    with make_redis(cluster_url) as redis:
        slots = {name: slot_of(redis, name) for name in names_of(keys)}
        elsewhere = [name for name, slot in slots.items() if slot != slot_of(redis, keys.lock)]
    assert sorted(elsewhere) == [f"{prefix}cluster:dead_letters:1", f"{prefix}cluster:price_payload"]
    assert len(set(slots)) >= 12


def scripts() -> dict[str, LuaScript]:
    """Every script of the house, by where it stands."""
    found = {}
    for module in pkgutil.walk_packages(prices.__path__, "prices."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, LuaScript):
                found[f"{module.name}.{name}"] = value
    return found


def test_every_script_and_transaction_of_ours_runs_there(
    clustered: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: set[int] = set()
    call = LuaScript.__call__

    def recorded(script: LuaScript, *given: Any) -> Any:
        ran.add(id(script))
        return call(script, *given)

    monkeypatch.setattr(LuaScript, "__call__", recorded)
    as_a_task: dict[str, Any] = {"worker": "w1", "task_id": "task", "trust_marker": True}

    assert refresh_prices(clustered, **as_a_task).degraded is False
    assert refresh_prices(clustered, **as_a_task).reason == "fresh"
    publish_current(clustered)
    made = make_publication(clustered.engine, clustered.settings.markup)
    redis_copy.refill(clustered.redis, clustered.keys, *made)
    assert reader_of(clustered).current().revision == 1
    with claim(clustered, Attempt("w1", forced=True)) as claimed:
        assert isinstance(claimed, Claim)
        assert claimed.renew()
        assert not claimed.degraded
        token = show_lock(clustered).redis_token
        assert break_lock(clustered, token or "", by="test")
    leadership = Leadership(clustered, "beat")
    assert leadership.hold()
    leadership.give_up()
    for kind in ("worker", "beat"):
        say_alive(clustered.redis, clustered.keys, kind, kind)
    report = SharedReporter(HealthReporter(clustered), clustered).report()
    assert {part: report[part]["status"] for part in ("redis", "worker", "beat")} == dict.fromkeys(
        ("redis", "worker", "beat"), "ok"
    )
    forget(clustered.redis, clustered.keys, "worker", "worker")
    assert clustered.redis.exists(clustered.keys.lock) == 0

    remember(clustered.redis, clustered.keys, clustered.deployment.address)

    assert [name for name, script in scripts().items() if id(script) not in ran] == []


def test_a_script_whose_keys_lie_apart_fails_there(cluster_url: str) -> None:

    both = LuaScript("return redis.call('EXISTS', KEYS[1], KEYS[2])")
    with make_redis(cluster_url) as redis, pytest.raises(RedisUnavailableError):
        both(redis, ("cluster:price_update_lock", "cluster:price_fresh:1"), ())
