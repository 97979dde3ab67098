"""What upstream may answer instead of its list: the task fails, everyone is told, and no price moves."""

import time

import pytest
from pytest_celery import CeleryTestSetup

from tests.system.cluster.cluster import Cluster, get, send
from tests.system.cluster.conftest import ON_SQLITE, Record
from tests.system.cluster.matrix import FaultRow

BROKEN: dict[str, tuple[dict[str, object], str]] = {
    "an error status": ({"status": 500}, "upstream answered 500"),
    "an HTML page": ({"html": True}, "upstream's body is no price list"),
    "half a body": ({"cut": 5000}, "upstream could not be read"),
    "an empty list": ({"empty_list": True}, "upstream's list is empty"),
    "nothing at all": ({"reset": True}, "upstream could not be read"),
}
SERVED = ("/api/v1/models", "/api/v1/models?offset=10&limit=5", "/api/v1/prices", "/api/v1/prices?q=a")


@pytest.mark.parametrize("answer", BROKEN)
def test_a_broken_upstream_fails_the_task_and_leaves_what_is_served_byte_for_byte(
    answer: str, cluster: Cluster, celery_setup: CeleryTestSetup
) -> None:
    web = cluster.nodes["web"]
    refreshed = send(celery_setup.app).get(timeout=20)
    assert refreshed["outcome"] == "refreshed"
    cluster.wait_until(
        lambda: get(web.port, "/readyz").json["revision"] == refreshed["revision"], "web has it"
    )
    before = [get(web.port, path).body for path in SERVED]
    fault, reason = BROKEN[answer]
    cluster.standin.answer(fault)

    failed = send(celery_setup.app, force=True)
    cluster.wait_until(failed.ready, "the task has ended", 20)

    assert failed.state == "FAILURE"
    assert reason in str(failed.result)
    assert type(failed.result).__name__ == "RefreshFailedError"
    run = cluster.last_run()
    assert (run["state"], run["outcome"], run["task_id"]) == ("finished", "failed", failed.id)
    assert reason in run["reason"]
    cluster.wait_until(
        lambda: cluster.health(web)["prices"]["last_run"]["run_id"] == run["run_id"], "/health shows the run"
    )
    prices = cluster.health(web)["prices"]
    assert prices["status"] == "failing"
    assert reason in prices["reason"]
    assert [get(web.port, path).body for path in SERVED] == before
    assert [get(web.port, path).status for path in ("/readyz", "/")] == [200, 200]

    cluster.standin.clear()
    assert send(celery_setup.app, force=True).get(timeout=20)["outcome"] == "refreshed"


@ON_SQLITE
def test_a_list_in_pages_of_which_one_fails_is_fetched_anew_as_a_whole(
    engine_name: str, cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    before = len(cluster.runs())
    paged = {"page_size": 25}
    cluster.standin.answer({**paged, "times": 1}, {"status": 503, "times": 1}, paged)
    began = time.monotonic()

    with pytest.raises(Exception, match="503"):
        send(celery_setup.app).get(timeout=20)
    assert send(celery_setup.app, force=True).get(timeout=20)["outcome"] == "refreshed"

    seconds = time.monotonic() - began
    assert [run["outcome"] for run in cluster.runs()[before:]] == ["failed", "refreshed"]
    log = cluster.standin.requests()["log"]
    assert [entry["path"].partition("offset=")[2].partition("&")[0] for entry in log] == [
        "",
        "25",
        "",
        "25",
        "50",
    ]
    assert cluster.published_is_current()
    happens = "the run fails; the next one begins at the first page; a request is a page here"
    completed = cluster.standin.requests()["completed"]
    record(
        FaultRow(
            "Upstream", "sends its list in pages, and one fails", engine_name, happens, seconds, completed
        )
    )
