"""A worker whose clock is wrong by ten minutes: clocks that all share tell what is fresh and who holds."""

from datetime import UTC, datetime

import pytest
from celery import Celery

import celeryconfig
from prices.runtime.settings import ROOT
from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import ON_POSTGRESQL, Record
from tests.system.cluster.trial import Trial

AS_BEAT_SENDS = celeryconfig.beat_schedule["refresh-prices"]["options"]
SKEWS = {"10 minutes ahead": 600, "10 minutes behind": -600}


def seconds_off(text: str) -> float:
    """How far a time of day is from this process's clock."""
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


@ON_POSTGRESQL
@pytest.mark.parametrize("skew", SKEWS)
def test_a_worker_whose_clock_is_wrong_refreshes_once_and_tells_right_what_is_fresh(
    skew: str, engine_name: str, cluster: Cluster, app: Celery, record: Record
) -> None:
    worker = cluster.start_worker(
        "wrong",
        " -Q wrong",
        PYTHONPATH=str(ROOT / "tests" / "system" / "cluster" / "wrong_clock"),
        CLOCK_SKEW=str(SKEWS[skew]),
    )
    cluster.wait_for_log(worker, worker.ready_prompt, 30)
    last_words = worker.logs().strip().splitlines()[-1]
    assert seconds_off(last_words.split()[0]) == pytest.approx(SKEWS[skew], abs=60)
    trial = Trial(cluster)

    trial.start_clock()
    by_wrong = app.send_task("refresh_prices", queue="wrong", **AS_BEAT_SENDS)
    cluster.standin.wait_for(held=1, timeout=20)
    by_right = send(app).get(timeout=10)

    (run,) = trial.runs()
    assert (by_right["reason"], by_right["holder"]) == ("held", run["worker"])
    assert run["worker"] == worker.node_name
    assert seconds_off(run["started_at"]) == pytest.approx(0, abs=30)
    cluster.standin.release()
    trial.wait_until_recovered()
    assert by_wrong.get(timeout=10)["outcome"] == "refreshed"
    for queue in ("wrong", "celery"):
        told = app.send_task("refresh_prices", queue=queue, **AS_BEAT_SENDS).get(timeout=10)
        assert (told["reason"], told["age_seconds"]) == ("fresh", pytest.approx(0, abs=30))
    trial.assert_refreshed()
    worker.teardown()
    del cluster.nodes["wrong"]
    happens = "it refreshes once; all agree on what is fresh, and no message ends before its time"
    record(trial.row("Clocks", f"a worker's is {skew}", engine_name, happens))
