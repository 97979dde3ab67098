"""Two deployments on one Redis without a prefix, as staging and production beside each other."""

import json
import time
from collections.abc import Iterator

import pytest

from prices.coordination.lease import Lease, make_token
from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, get
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.nodes import HttpNode

MODELS = {"production": 60, "staging": 40}
LEASE = 2


@pytest.fixture
def deployments(open_cluster: OpenCluster) -> Iterator[dict[str, Cluster]]:
    """Each with a database, an upstream, a worker, a beat and a web process; production's Redis for both."""
    with (
        open_cluster("sqlite", models=MODELS["production"], PRICE_LOCK_LEASE=str(LEASE)) as production,
        open_cluster(
            "sqlite",
            models=MODELS["staging"],
            PRICE_LOCK_LEASE=str(LEASE),
            REDIS_URL=production.redis.url,
        ) as staging,
    ):
        yield {"production": production, "staging": staging}


def listed(cluster: Cluster, web: HttpNode) -> int:
    return len(json.loads(get(web.port, "/api/v1/models").body)["data"])


def test_each_serves_counts_and_obeys_its_own_and_names_the_other(
    deployments: dict[str, Cluster], record: Record
) -> None:
    began = time.monotonic()
    webs = {}
    for name, cluster in deployments.items():
        cluster.start_worker(f"{name}-worker", WORKER_CONCURRENCY="1")
        cluster.start_beat(f"{name}-beat")
        webs[name] = cluster.start_web(f"{name}-web")
    for cluster in deployments.values():
        cluster.wait_until_up()

    for name, cluster in deployments.items():
        cluster.wait_until(
            lambda cluster=cluster, name=name: listed(cluster, webs[name]) == MODELS[name],
            f"{name} serves its own list",
            60,
        )
    seconds = time.monotonic() - began
    for name, cluster in deployments.items():
        (other,) = MODELS.keys() - {name}
        beat = cluster.nodes[f"{name}-beat"]
        cluster.wait_for_log(beat, "Another deployment uses the same Redis", 30)

        def shared(cluster: Cluster = cluster, name: str = name, other: str = other) -> bool:
            report = cluster.health(webs[name])
            return (
                report["redis"]["status"] == "shared"
                and other in report["redis"]["reason"]
                and list(report["worker"]["workers"]) == [f"worker@{name}-worker"]
                and len(report["beat"]["beats"]) == 1
            )

        cluster.wait_until(shared, f"{name} counts its own and names {other}", 30)
        assert cluster.health(webs[name])["status"] == "degraded"
        assert [run["outcome"] for run in cluster.runs()] == ["refreshed"]
        assert cluster.standin.requests()["completed"] == 1

    production, staging = deployments["production"], deployments["staging"]
    token = make_token("worker@staging-worker", "task", "1700000000", staging.services.keys.deployment)
    lock = Lease(staging.services.redis, LOCK_KEY, token, lease=production.services.settings.lock_ttl)
    assert lock.take() is None
    status, told = production.command("run-once", "--force")
    assert (status, told["outcome"], told["degraded"]) == (0, "refreshed", True)
    assert lock.release()
    assert {name: listed(cluster, webs[name]) for name, cluster in deployments.items()} == MODELS

    happens = "each serves, counts and obeys its own only; health and beat's log name the other"
    record(FaultRow("Redis", "two deployments use it without a prefix", "sqlite", happens, seconds, 2))
