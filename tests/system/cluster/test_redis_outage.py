"""Redis is killed, or hangs, under a running cluster: all is served and refreshed, and all resumes."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup

from tests.system.cluster.cluster import Cluster, answers, get, outcome, send
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.nodes import HttpNode, RedisNode, tails
from tests.system.cluster.stored import assert_consistent

PATHS = ("/", "/api/v1/models", "/api/v1/models?offset=3&limit=2", "/api/v1/prices", "/readyz", "/healthz")
OUTAGES: dict[str, tuple[Callable[[RedisNode], None], Callable[[RedisNode], None]]] = {
    "killed": (lambda redis: redis.kill(), lambda redis: redis.server.start()),
    "hung": (lambda redis: redis.kill("SIGSTOP"), lambda redis: redis.kill("SIGCONT")),
}


@pytest.fixture(scope="module")
def serving_cluster(engine_name: str, open_cluster: OpenCluster) -> Iterator[Cluster]:
    """A worker, a beat and a web process with prices, on a Redis that keeps nothing on disk."""
    with open_cluster(engine_name) as cluster:
        cluster.start_worker("one")
        cluster.start_beat()
        cluster.start_web()
        cluster.wait_until_up()
        cluster.wait_until(
            lambda: [run for run in cluster.runs() if run["outcome"]], "a refresh has ended", 30
        )
        yield cluster


@pytest.fixture
def cluster(serving_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, healthy; if the test left Redis hung or dead, the next one has it back."""
    wait_until_healthy(serving_cluster)
    wait_until_served(serving_cluster)
    serving_cluster.standin.clear()
    serving_cluster.standin.forget()
    yield serving_cluster
    serving_cluster.standin.release()
    if serving_cluster.redis.status == "running":
        serving_cluster.redis.kill("SIGCONT")
    else:
        serving_cluster.redis.server.start()


@pytest.fixture
def celery_worker_cluster() -> None:
    """The standing cluster's two workers are not these tests'."""


def wait_until_healthy(cluster: Cluster, within: float = 40) -> None:
    web = cluster.nodes["web"]
    cluster.wait_until(lambda: cluster.health(web)["status"] == "healthy", "/health is healthy", within)


def wait_until_served(cluster: Cluster) -> None:
    web, revision = cluster.nodes["web"], cluster.last_run()["revision"]
    cluster.wait_until(lambda: get(web.port, "/readyz").json["revision"] == revision, "web has the prices")


def price_of_first(web: HttpNode) -> Any:
    return get(web.port, "/api/v1/models").json["data"][0]["pricing"]["prompt"]


@pytest.mark.parametrize(
    ("engine_name", "outage"),
    [("sqlite", "killed"), ("sqlite", "hung"), ("postgres", "killed")],
    indirect=["engine_name"],
)
def test_without_redis_all_is_served_and_refreshed_and_with_it_everything_resumes(
    outage: str, engine_name: str, cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    begin, end = OUTAGES[outage]
    web = cluster.nodes["web"]
    assert isinstance(web, HttpNode)
    pids = {name: node.process.pid for name, node in cluster.nodes.items()}
    body = get(web.port, "/api/v1/models").body

    begin(cluster.redis)

    slowest, until = (0.0, ""), time.monotonic() + 3
    while time.monotonic() < until:
        for path in PATHS:
            answer = get(web.port, path)
            assert answer.status == 200, (path, answer)
            slowest = max(slowest, (answer.seconds, path))
    assert slowest < (1.0, ""), tails([web.process])
    assert get(web.port, "/api/v1/models").body == body
    report = get(web.port, "/health")
    assert (report.status, report.json["status"]) == (200, "degraded")
    assert (report.json["redis"]["status"], report.json["database"]["status"]) == ("down", "ok")
    assert report.seconds < 1.5

    # Two commands at once: the database lets one through.
    first = get(web.port, "/api/v1/models").json["data"][0]["id"]
    price = "0.00000777" if outage == "killed" else "0.00000888"
    cluster.standin.answer(gate={"hold": True}, patch={first: {"pricing.prompt": price}})
    cluster.make_stale()
    commands = [cluster.start_command("run-once", "--json") for _ in range(2)]
    cluster.standin.wait_for(held=1, timeout=40)
    cluster.wait_until(
        lambda: any(command.poll() is not None for command in commands), "one command stands back", 20
    )
    cluster.standin.release()
    (status, done), (other_status, other) = sorted(
        (outcome(command) for command in commands), key=lambda found: found[0]
    )
    assert (status, done["outcome"], done["degraded"], done["changes"]) == (0, "refreshed", True, 1)
    assert (other_status, other["reason"]) == (3, "held")
    assert other["holder"].startswith("run-once@")
    assert cluster.standin.requests()["received"] == 1
    cluster.wait_until(lambda: price_of_first(web) == price, "web serves the new price without Redis", 5)

    newcomer = cluster.start_web("newcomer")
    try:
        cluster.wait_until(lambda: answers(newcomer.port, "/readyz"), "a new web process is ready", 20)
        assert price_of_first(newcomer) == price
    finally:
        newcomer.teardown()
        del cluster.nodes["newcomer"]

    began = time.monotonic()
    end(cluster.redis)

    cluster.wait_until(cluster.published_is_current, "what Redis holds is what the database says", 20)
    task = send(celery_setup.app, force=True)
    cluster.wait_until(task.ready, "the worker takes a message again", 40)
    assert task.result["outcome"] == "refreshed"
    assert cluster.last_run()["worker"] == "worker@one"
    wait_until_healthy(cluster)
    seconds = time.monotonic() - began
    assert {name: node.process.pid for name, node in cluster.nodes.items()} == pids
    assert {node.process.status for node in cluster.nodes.values()} == {"running"}
    assert cluster.standin.requests()["received"] == 2
    cluster.wait_until(cluster.published_is_current, "the refresh is published", 5)
    assert_consistent(cluster.services)
    happens = "all is served from memory, and by the database's word one of two commands refreshes"
    record(FaultRow("Redis", f"is {outage} for everybody", engine_name, happens, seconds, 1))
