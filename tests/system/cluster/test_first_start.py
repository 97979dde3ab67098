"""The first start of a whole cluster on an empty database: one fetch, seen everywhere, and never again."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from prices.runtime.settings import ROOT
from tests.system.cluster.cluster import FLOWER_USER, Cluster, answers, get
from tests.system.cluster.conftest import OpenCluster


def values(body: bytes) -> Any:
    """A JSON text with the order of its keys and the digits of its numbers."""
    return json.loads(body, object_pairs_hook=list, parse_float=Decimal)


@pytest.fixture(scope="module")
def started(engine_name: str, open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Everything of the Procfile, started at the same moment, when it has prices."""
    with open_cluster(engine_name, models=420, WEB_CONCURRENCY="2", WORKER_CONCURRENCY="4") as cluster:
        start_all(cluster)
        cluster.start_flower()
        cluster.wait_until_up()
        cluster.wait_until(
            lambda: [run for run in cluster.runs() if run["outcome"]], "a refresh has ended", 30
        )
        yield cluster


def start_all(cluster: Cluster) -> None:
    cluster.start_worker("one")
    cluster.start_worker("two")
    cluster.start_beat()
    cluster.start_web()


def upstreams_list(cluster: Cluster) -> bytes:
    port = int(cluster.standin.base_url.rsplit(":", 1)[1].split("/")[0])
    return get(port, "/api/v1/models").body


def test_an_empty_catalogue_is_refreshed_at_once_after_exactly_one_request(started: Cluster) -> None:
    (run,) = started.runs()
    assert (run["outcome"], run["revision"], run["forced"]) == ("refreshed", 1, False)
    assert run["models"] > 400
    seen = started.standin.requests()
    assert (seen["received"], seen["completed"]) == (1, 1)


def test_every_web_process_serves_all_models_as_upstream_does(started: Cluster) -> None:
    web = started.nodes["web"]
    started.wait_until(lambda: get(web.port, "/readyz").json["revision"] == 1, "web has the prices")
    expected = upstreams_list(started)
    assert len(json.loads(expected)["data"]) > 400
    for _ in range(10):  # more than one process answers
        started.wait_until(
            lambda: values(get(web.port, "/api/v1/models").body) == values(expected), "the same list", 3
        )


def test_health_and_status_are_healthy_and_name_who_does_what(started: Cluster) -> None:
    web = started.nodes["web"]
    told = started.wait_until(
        lambda: (report := started.health(web))["status"] == "healthy" and report, "/health is healthy", 15
    )
    assert set(told["worker"]["workers"]) == {"worker@one", "worker@two"}
    assert told["beat"]["leader"].startswith("celerybeat@")
    status, report = started.command("status")
    assert (status, report["status"]) == (0, "healthy")
    assert report["prices"]["revision"] == 1


def test_flower_shows_the_task_to_whom_knows_the_password(started: Cluster) -> None:
    flower = started.nodes["flower"]
    assert get(flower.port, "/api/tasks").status == 401
    sent = {run["task_id"] for run in started.runs()}

    def shown() -> dict[str, Any] | None:
        tasks: dict[str, Any] = get(flower.port, "/api/tasks", user=FLOWER_USER).json
        return tasks if sent <= tasks.keys() else None

    tasks = started.wait_until(shown, "Flower shows the task", 10)
    (task_id,) = sent
    assert tasks[task_id]["name"] == "refresh_prices"


def test_after_a_stop_and_a_start_the_prices_are_there_and_upstream_is_not_asked(started: Cluster) -> None:
    nodes = [node for node in started.nodes.values() if node.process.status == "running"]
    started.end(*nodes, within=25)
    for node in nodes:
        assert "Traceback" not in node.logs(), node.logs()[-4000:]
    started.nodes.clear()
    started.standin.forget()

    start_all(started)
    started.wait_until_up()

    assert answers(started.nodes["web"].port, "/api/v1/models")
    beat = started.nodes["beat"]
    started.wait_for_log(beat, "Beat leads now")
    looked = started.services.redis.time()[0] + 2  # type: ignore[index]
    started.wait_until(lambda: started.services.redis.time()[0] > looked, "beat has looked again", 15)  # type: ignore[index]
    assert "Sent the refresh" not in beat.logs()
    assert started.standin.requests()["received"] == 0
    assert len(started.runs()) == 1
    assert not list(ROOT.glob("celerybeat*"))  # the database is beat's memory, no file is
