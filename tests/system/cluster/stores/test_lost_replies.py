"""Redis does what it is asked and its answer is lost: nobody is locked out, and nothing is left locked."""

from celery import Celery

from prices.coordination.lease import _RELEASE, _TAKE, read_holder
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import ON_SQLITE, Record
from tests.system.cluster.proxy import Proxy
from tests.system.cluster.trap import Fate, Trap
from tests.system.cluster.trial import Trial


def lose_the_reply_to(script: LuaScript, cluster: Cluster, wire: Proxy) -> Trap:
    """Swallow what Redis answers to the next script of its kind that is done to the lock."""
    digest = cluster.services.redis.script_load(script._text)  # else the answer would be that it is unknown
    trap = Trap(Fate.SWALLOW_REPLY, str(digest).encode(), LOCK_KEY.encode())
    wire.set_trap(trap)
    return trap


@ON_SQLITE
def test_who_takes_the_lock_and_does_not_hear_of_it_refreshes(
    engine_name: str, cluster: Cluster, redis_wire: Proxy, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    trap = lose_the_reply_to(_TAKE, cluster, redis_wire)

    trial.start_clock()
    first = send(app)
    cluster.standin.wait_for(held=1, timeout=20)

    assert trap.has_caught
    (run,) = trial.runs()
    assert (run["task_id"], run["degraded"]) == (first.id, False)
    second = send(app).get(timeout=10)
    assert (second["reason"], second["holder"]) == ("held", run["worker"])
    cluster.standin.release()
    trial.wait_until_recovered()
    assert first.get(timeout=10)["outcome"] == "refreshed"
    assert read_holder(cluster.services.redis, LOCK_KEY) is None
    trial.assert_refreshed()
    happens = "the worker finds its own token and refreshes"
    record(trial.row("Redis", "gives the lock and its reply is lost", engine_name, happens))


@ON_SQLITE
def test_who_gives_the_lock_back_and_does_not_hear_of_it_leaves_nothing_locked(
    engine_name: str, cluster: Cluster, redis_wire: Proxy, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    trap = lose_the_reply_to(_RELEASE, cluster, redis_wire)
    cluster.standin.release()

    trial.start_clock()
    first = send(app)

    trial.wait_until_recovered()
    assert first.get(timeout=10)["outcome"] == "refreshed"
    assert trap.has_caught
    worker = cluster.nodes[trial.runs()[0]["worker"].removeprefix("worker@")]
    assert "The cluster-wide price update lock was left to expire" in worker.logs()
    assert read_holder(cluster.services.redis, LOCK_KEY) is None
    assert send(app).get(timeout=10)["reason"] == "fresh"
    trial.assert_refreshed()
    happens = "the refresh is done and the lock is free"
    record(trial.row("Redis", "takes the lock back and its reply is lost", engine_name, happens))
