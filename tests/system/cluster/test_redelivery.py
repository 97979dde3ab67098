"""The broker delivers a message again while its run goes on: it is told so, and upstream is asked once."""

import time
from collections.abc import Callable, Iterator

import pytest
from pytest_celery import CeleryTestSetup

from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.matrix import FaultRow


@pytest.fixture
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Two workers whose broker waits for an acknowledgement for two seconds only, and no prices yet."""
    with open_cluster("sqlite") as cluster:
        for name in ("one", "two"):
            cluster.start_worker(name, " -I tests.system.cluster.short_visibility")
        cluster.wait_until_up()
        yield cluster


def test_a_message_that_comes_again_while_its_run_goes_on_asks_upstream_for_nothing(
    cluster: Cluster, celery_setup: CeleryTestSetup, record: Callable[[FaultRow], None]
) -> None:
    cluster.standin.answer(gate={"hold": True}, times=1)
    task = send(celery_setup.app)
    cluster.standin.wait_for(held=1, timeout=20)

    def times(said: str) -> int:
        return sum(node.logs().count(said) for node in cluster.nodes.values())

    cluster.wait_until(lambda: times(f"refresh_prices[{task.id}] received") == 2, "it has come twice")
    cluster.wait_until(lambda: times("Price update already running on worker") == 1, "the second is told")
    released = time.monotonic()
    cluster.standin.release()

    cluster.wait_until(lambda: cluster.last_run()["outcome"] == "refreshed", "the run is done")
    cluster.wait_until(cluster.published_is_current, "it is published")
    seconds = time.monotonic() - released
    (run,) = cluster.runs()
    assert (run["task_id"], run["outcome"], run["revision"]) == (task.id, "refreshed", 1)
    seen = cluster.standin.requests()
    assert (seen["received"], seen["completed"]) == (1, 1)
    record(
        FaultRow(
            "A message comes more than once",
            "redelivered after the visibility timeout while its run goes on",
            "sqlite",
            "told who is refreshing; the run goes on",
            seconds,
            seen["completed"],
        )
    )
