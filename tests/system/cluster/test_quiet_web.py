"""A web process alone, on an empty database and an empty Redis."""

from tests.system.cluster.cluster import get
from tests.system.cluster.conftest import OpenCluster


def test_a_web_process_enqueues_nothing_and_fetches_nothing_when_it_starts(
    engine_name: str, open_cluster: OpenCluster
) -> None:
    with open_cluster(engine_name, WEB_CONCURRENCY="1") as cluster:
        web = cluster.start_web()
        cluster.wait_until_up()

        assert get(web.port, "/readyz").json == {"status": "ready", "revision": 0, "age_seconds": None}
        for path in ("/healthz", "/api/v1/models", "/api/v1/prices", "/"):
            assert get(web.port, path).status == 200, path
        assert cluster.health(web)["status"] == "degraded"

        assert cluster.standin.requests()["received"] == 0
        assert cluster.runs() == []
        keys, address = cluster.services.keys, cluster.services.deployment.address
        own = {
            keys.snapshot,
            keys.refill,
            *(keys.report(scope) for scope in (address, keys.deployment)),
            *(keys.report_turn(scope) for scope in (address, keys.deployment)),
            keys.address(address),
        }
        assert {key.decode() for key in cluster.services.redis.keys("*")} <= own  # type: ignore[union-attr]
