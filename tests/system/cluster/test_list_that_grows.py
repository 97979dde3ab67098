"""Upstream's list more than doubles at once: nothing of it is served before a second list confirms it."""

import time

import pytest
from celery import Celery

from tests.support.lists import model
from tests.system.cluster.cluster import Cluster, close, get, prepare, send
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow

FLOOD = [model(f"flood/new-{number}") for number in range(2000)]
PATHS = ("/api/v1/models", "/api/v1/prices", "/")


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_what_more_than_doubles_the_list_is_served_once_a_second_list_has_it(
    engine: str, open_cluster: OpenCluster, record: Record
) -> None:
    with open_cluster(engine) as cluster:
        cluster.start_worker("one")
        web = cluster.start_web()
        cluster.wait_until_up()
        app = Celery("tests", broker=cluster.redis.url, backend=cluster.redis.url, set_as_current=False)
        prepare(app)
        try:
            first = send(app).get(timeout=60)
            wait_for_revision(cluster, first["revision"])
            before = [get(web.port, path).json["data"] for path in PATHS[:2]]
            cluster.standin.forget()
            cluster.standin.answer(append=FLOOD)

            held = send(app, force=True).get(timeout=60)
            assert (held["outcome"], held["held"], held["changes"]) == ("refreshed", len(FLOOD), 0)
            cluster.wait_until(
                lambda: cluster.health(web)["prices"]["last_run"]["run_id"] == held["run_id"],
                "/health shows the run",
            )
            assert cluster.health(web)["prices"]["last_run"]["held"] == len(FLOOD)
            assert [get(web.port, path).json["data"] for path in PATHS[:2]] == before
            assert b"flood/new-" not in get(web.port, "/?q=flood").body.partition(b"<table")[2]

            began = time.monotonic()
            confirmed = send(app, force=True).get(timeout=60)
            wait_for_revision(cluster, confirmed["revision"])
            seconds = time.monotonic() - began
            assert (confirmed["held"], confirmed["changes"]) == (0, len(FLOOD))
            assert len(get(web.port, "/api/v1/models").json["data"]) == first["models"] + len(FLOOD)
            assert cluster.published_is_current()
        finally:
            close(app)
        happens = (
            "its new models are held and all else is served on; a second list that has them confirms them"
        )
        completed = cluster.standin.requests()["completed"]
        record(FaultRow("Upstream", "more than doubles its list", engine, happens, seconds, completed))


def wait_for_revision(cluster: Cluster, revision: int) -> None:
    port = cluster.nodes["web"].port  # type: ignore[attr-defined]  # of an HttpNode
    cluster.wait_until(lambda: get(port, "/readyz").json.get("revision") == revision, "web has it", 30)
