"""Workers ended or destroyed in the middle of a fetch: what becomes of their task and of the next message.

Here nobody looks after them; that the refresh is done without help is in `test_every_stage.py`.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from pytest_celery import CeleryTestSetup

from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.nodes import WorkerNode

LEASE = 2
NAMES = ("one", "two")
# A platform kills 30 s after TERM, a worker waits 20 s for its tasks: here both are shorter.
SOON = " -- worker.soft_shutdown_timeout=3"
GROUP = "A worker is told to end in the middle of its fetch"
Record = Callable[[FaultRow], None]


@pytest.fixture(scope="module")
def leased_cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Redis, database and upstream, with a short lease."""
    with open_cluster("sqlite", PRICE_LOCK_LEASE=str(LEASE)) as cluster:
        yield cluster


@pytest.fixture
def cluster(leased_cluster: Cluster) -> Cluster:
    """Two workers that run, prices that are due, and an upstream that holds its first answer."""
    cluster = leased_cluster
    cluster.services.redis.delete("celery", "unacked", "unacked_index", LOCK_KEY)
    cluster.standin.clear()
    cluster.standin.release()
    for name in NAMES:
        if name not in cluster.nodes or cluster.nodes[name].process.status != "running":
            cluster.start_worker(name, SOON)
    cluster.wait_until_up()
    cluster.make_stale()
    cluster.standin.forget()
    cluster.standin.answer(gate={"hold": True}, times=1)
    return cluster


def begin(cluster: Cluster, app: Celery) -> tuple[str, WorkerNode, WorkerNode]:
    """Let a worker begin a fetch that waits: the task's id, the worker, and the other one."""
    task = send(app)
    cluster.standin.wait_for(held=1, timeout=20)
    (run,) = [run for run in cluster.runs() if run["state"] == "running"]
    assert run["task_id"] == task.id
    at_work = run["worker"].removeprefix("worker@")
    (other,) = set(NAMES) - {at_work}
    worker, bystander = cluster.nodes[at_work], cluster.nodes[other]
    assert isinstance(worker, WorkerNode)
    assert isinstance(bystander, WorkerNode)
    return task.id, worker, bystander


def test_a_worker_told_to_end_finishes_the_fetch_it_has_begun(
    cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    task_id, worker, _other = begin(cluster, celery_setup.app)
    told = time.monotonic()

    worker.kill("SIGTERM")
    cluster.wait_for_log(worker, "Soft Shutdown", 5)
    cluster.standin.release()

    cluster.wait_until(lambda: cluster.last_run()["outcome"] == "refreshed", "the fetch is finished")
    seconds = time.monotonic() - told
    cluster.wait_until(lambda: worker.process.is_gone, "the worker ends", 30)
    result = celery_setup.app.AsyncResult(task_id)
    assert (result.state, result.result["outcome"]) == ("SUCCESS", "refreshed")
    seen = cluster.standin.requests()
    assert (seen["received"], seen["completed"]) == (1, 1)
    happens = "it finishes what it has begun"
    record(FaultRow(GROUP, "has the time to finish", "sqlite", happens, seconds, seen["completed"]))


def test_a_worker_told_to_end_hands_over_the_fetch_it_cannot_finish(
    cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    task_id, worker, other = begin(cluster, celery_setup.app)
    told = time.monotonic()

    worker.kill("SIGTERM")

    cluster.wait_until(lambda: worker.process.is_gone, "the worker ends", 30)
    result = celery_setup.app.AsyncResult(task_id)
    cluster.wait_until(result.ready, "another worker has done the task", 15)
    seconds = time.monotonic() - told
    assert (result.state, result.result["outcome"]) == ("SUCCESS", "refreshed")
    cut_short, run = cluster.runs()[-2:]
    assert (cut_short["task_id"], cut_short["outcome"]) == (task_id, "failed")
    assert cut_short["reason"] == "abandoned: its process was told to end (SystemExit)"
    assert (run["outcome"], run["task_id"], run["worker"]) == ("refreshed", task_id, other.node_name)
    requests = cluster.standin.requests()["completed"]
    assert requests == 1
    happens = "it hands its task over, another fetches"
    record(FaultRow(GROUP, "has no time to finish", "sqlite", happens, seconds, requests))


def test_a_worker_destroyed_in_its_fetch_is_replaced_at_the_next_message_after_its_lease(
    cluster: Cluster, celery_setup: CeleryTestSetup
) -> None:
    task_id, worker, other = begin(cluster, celery_setup.app)

    worker.kill()

    early = send(celery_setup.app).get(timeout=10)
    assert (early["outcome"], early["reason"], early["holder"]) == ("skipped", "held", worker.node_name)
    time.sleep(LEASE + 0.5)
    late = send(celery_setup.app).get(timeout=10)
    assert late["outcome"] == "refreshed"
    dead, done = cluster.runs()[-2:]
    assert (dead["task_id"], dead["outcome"]) == (task_id, "failed")
    assert dead["reason"].startswith("abandoned")
    assert (done["outcome"], done["worker"]) == ("refreshed", other.node_name)
    assert cluster.standin.requests()["completed"] == 1
