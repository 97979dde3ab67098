"""What upstream may answer instead of its list: the task fails, everyone is told, and no price moves."""

import pytest
from pytest_celery import CeleryTestSetup

from tests.cluster.cluster import Cluster, get, send

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
