"""A fetch that is given up before its connection stands does not go on beside the one that succeeds it."""

import time
from collections.abc import Iterator

import pytest
from celery import Celery

from prices.operations.lock import break_lock
from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, close, prepare, send
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.shut_door import ShutDoor

GROUP = "A claim is taken away"


@pytest.fixture
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Redis, database and upstream, with a short lease."""
    with open_cluster("sqlite", PRICE_LOCK_LEASE="2") as cluster:
        yield cluster


@pytest.fixture
def app(cluster: Cluster) -> Iterator[Celery]:
    """A client of the queue."""
    app = Celery("tests", broker=cluster.redis.url, backend=cluster.redis.url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


def test_a_claim_lost_while_upstream_is_being_connected_to_costs_no_second_body(
    cluster: Cluster, app: Celery, record: Record
) -> None:
    with ShutDoor(cluster.standin.base_url) as door:
        worker = cluster.start_worker("one", OPENROUTER_BASE_URL=door.base_url)
        cluster.wait_until_up()
        send(app, force=True)  # a forced one is not tried again
        cluster.wait_until(door.is_waited_at, "the worker connects to upstream")
        (run,) = cluster.runs()

        token = cluster.services.redis.get(LOCK_KEY)
        assert isinstance(token, bytes)
        assert break_lock(cluster.services, token.decode(), by="a test")
        cluster.wait_for_log(worker, "Price update failed")
        door.open()
        cluster.wait_until(lambda: door.passed, "the connection that was given up stands, and ends", 10)
        began = time.monotonic()
        status, refreshed = cluster.command("run-once", "--force")
        seconds = time.monotonic() - began

    assert (status, refreshed["outcome"]) == (0, "refreshed")
    assert cluster.runs()[0]["outcome"] == "failed"
    assert cluster.last_run()["run_id"] > run["run_id"]
    seen = cluster.standin.requests()
    assert (seen["completed"], seen["received"]) == (1, 1)
    happens = "its fetch ends where it is; only the next one receives the body"
    fault = "while upstream is being connected to"
    record(FaultRow(GROUP, fault, "sqlite", happens, seconds, seen["completed"]))
