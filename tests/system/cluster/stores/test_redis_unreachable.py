"""Redis refuses or hangs for those who refresh: the database alone decides, soon, and rightly."""

from collections.abc import Callable
from datetime import datetime

import pytest
from celery import Celery

from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, claim_began, outcome, send
from tests.system.cluster.conftest import ON_SQLITE, Record
from tests.system.cluster.proxy import Proxy
from tests.system.cluster.stores.conftest import LEASE
from tests.system.cluster.trial import Trial

OUTAGES: dict[str, Callable[[Proxy], None]] = {"refuses": Proxy.refuse, "hangs": Proxy.hang}
MOST_SECONDS = 3.0
"""How long Redis may hold a refresh up before the database decides alone."""


@pytest.mark.parametrize("outage", OUTAGES)
def test_who_cannot_reach_redis_refreshes_by_the_databases_word_within_3_seconds(
    outage: str, engine_name: str, cluster: Cluster, redis_wire: Proxy, record: Record
) -> None:
    trial = Trial(cluster)
    OUTAGES[outage](redis_wire)

    refreshing = cluster.start_command("run-once", "--json")
    began = claim_began(refreshing)
    cluster.standin.wait_for(held=1, timeout=20)
    (run,) = trial.runs()
    assert run["degraded"]
    assert datetime.fromisoformat(run["started_at"]).timestamp() - began <= MOST_SECONDS
    refuse_another(cluster, run["worker"])
    cluster.standin.release()
    status, told = outcome(refreshing)
    assert (status, told["outcome"], told["degraded"]) == (0, "refreshed", True)

    trial.start_clock()
    redis_wire.pass_on()
    trial.wait_until_recovered()
    trial.assert_refreshed()
    happens = "within 3 s the database decides alone; beat publishes once Redis is back"
    record(trial.row("Redis", f"{outage} when a run begins", engine_name, happens))


@ON_SQLITE
def test_a_redis_that_hangs_in_a_fetch_for_longer_than_the_lease_takes_no_claim_away(
    engine_name: str, cluster: Cluster, redis_wire: Proxy, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    send(app)
    cluster.standin.wait_for(held=1, timeout=20)
    redis_wire.hang()
    cluster.wait_until(lambda: cluster.services.redis.get(LOCK_KEY) is None, "the lock has ended", 2 * LEASE)
    refuse_another(cluster, trial.runs()[0]["worker"])
    cluster.standin.release()
    cluster.wait_until(lambda: trial.runs()[0]["outcome"], "the run has ended", 20)

    trial.start_clock()
    redis_wire.pass_on()
    trial.wait_until_recovered()
    trial.assert_refreshed()
    happens = "the run goes on; beat publishes once Redis is back"
    record(trial.row("Redis", "hangs in a fetch for longer than the lease", engine_name, happens))


def refuse_another(cluster: Cluster, holder: str) -> None:
    """Assert that who reaches Redis, where the lock is free, hears from the database who refreshes."""
    assert cluster.services.redis.get(LOCK_KEY) is None
    status, told = outcome(cluster.start_command("run-once", "--json", REDIS_URL=cluster.redis.url))
    assert (status, told["reason"], told["holder"]) == (3, "held", holder)
