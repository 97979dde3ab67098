"""Redis forgets who refreshes while somebody does: the database remembers, and nobody else begins."""

from celery import Celery

from prices.coordination.lease import read_holder
from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, outcome, send
from tests.system.cluster.conftest import ON_SQLITE, Record
from tests.system.cluster.trial import Trial


def begin(cluster: Cluster, app: Celery) -> Trial:
    """Let a worker hold the lock, in a fetch that waits."""
    trial = Trial(cluster)
    send(app)
    cluster.standin.wait_for(held=1, timeout=20)
    assert read_holder(cluster.services.redis, LOCK_KEY) is not None
    return trial


@ON_SQLITE
def test_a_lock_that_redis_evicts_lets_nobody_else_begin(
    engine_name: str, cluster: Cluster, app: Celery, record: Record
) -> None:
    trial = begin(cluster, app)
    worker = trial.runs()[0]["worker"]

    trial.start_clock()
    for _time in range(3):
        cluster.services.redis.delete(LOCK_KEY)
        told = send(app).get(timeout=10)
        assert (told["reason"], told["holder"]) == ("held", worker)

    cluster.standin.release()
    trial.wait_until_recovered()
    trial.assert_refreshed()
    happens = "the run goes on; others hear from the database who refreshes"
    record(trial.row("Redis", "evicts the lock in a fetch", engine_name, happens))


@ON_SQLITE
def test_a_redis_that_is_killed_and_comes_back_empty_lets_nobody_else_begin(
    engine_name: str, cluster: Cluster, app: Celery, record: Record
) -> None:
    trial = begin(cluster, app)
    worker = trial.runs()[0]["worker"]

    cluster.redis.kill()
    trial.start_clock()
    cluster.redis.server.start()

    status, told = outcome(cluster.start_command("run-once", "--json"))
    assert (status, told["reason"], told["holder"]) == (3, "held", worker)
    told = send(app).get(timeout=20)
    assert (told["reason"], told["holder"]) == ("held", worker)
    cluster.standin.release()
    trial.wait_until_recovered()
    trial.assert_refreshed()
    happens = "the run goes on; others hear from the database who refreshes"
    record(trial.row("Redis", "is killed in a fetch and comes back empty", engine_name, happens))
