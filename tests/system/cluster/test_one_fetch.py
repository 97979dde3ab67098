"""However many ask for a refresh at once, upstream is asked once and every other one is told why not."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from celery import Celery
from pytest_celery import CeleryTestSetup

from tests.system.cluster.cluster import Cluster, claim_began, outcome, send
from tests.system.cluster.conftest import ON_SQLITE, Record
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.trial import Trial

MESSAGES, SENDERS = 200, 4
GROUP = "Many ask for a refresh"


def send_all_at_once(app: Celery) -> list[Any]:
    """Publish the messages from several threads that begin together."""
    together = threading.Barrier(SENDERS)

    def publish(_number: int) -> list[Any]:
        together.wait(10)
        return [send(app) for _ in range(MESSAGES // SENDERS)]

    with ThreadPoolExecutor(SENDERS) as threads:
        return list(chain.from_iterable(threads.map(publish, range(SENDERS))))


def results_of(cluster: Cluster, sent: list[Any], at_least: int) -> list[dict[str, Any]]:
    """Wait until so many of the tasks have ended, all of them well."""

    def ended() -> list[Any] | None:
        ready = [task for task in sent if task.ready()]
        return ready if len(ready) >= at_least else None

    ready = cluster.wait_until(ended, f"{at_least} of {len(sent)} messages are done", 60)
    assert {task.state for task in ready} == {"SUCCESS"}
    return [task.result for task in ready]


def test_200_messages_at_once_make_one_request_and_199_say_why_they_skipped(
    engine_name: str, cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    assert celery_setup.ready(control=True)
    before = len(cluster.runs())
    began = time.monotonic()

    results = results_of(cluster, send_all_at_once(celery_setup.app), MESSAGES)

    assert cluster.standin.requests()["received"] == 1
    assert [result["outcome"] for result in results].count("refreshed") == 1
    skipped = [result for result in results if result["outcome"] == "skipped"]
    assert len(skipped) == MESSAGES - 1
    for result in skipped:
        if result["reason"] == "fresh":
            assert 0 <= result["age_seconds"] < 60
            assert result["revision"] >= 1
        else:
            assert (result["reason"], result["holder"][:7]) == ("held", "worker@")
    assert len(cluster.runs()) == before + 1
    happens = "one fetches; every other is told who does, or that the prices are fresh"
    seconds, requests = time.monotonic() - began, cluster.standin.requests()["completed"]
    record(FaultRow(GROUP, f"{MESSAGES} messages at once", engine_name, happens, seconds, requests))


def test_while_upstream_takes_its_time_all_others_are_told_who_is_refreshing(
    cluster: Cluster, celery_setup: CeleryTestSetup
) -> None:
    cluster.standin.answer(gate={"hold": True})

    sent = send_all_at_once(celery_setup.app)
    results = results_of(cluster, sent, MESSAGES - 1)

    (running,) = [run for run in cluster.runs() if run["state"] == "running"]
    assert {(result["outcome"], result["reason"], result["holder"]) for result in results} == {
        ("skipped", "held", running["worker"])
    }
    cluster.standin.release()
    results = results_of(cluster, sent, MESSAGES)
    assert [result["outcome"] for result in results].count("refreshed") == 1
    assert cluster.standin.requests()["received"] == 1


def test_a_message_a_second_after_another_asks_upstream_for_nothing(
    engine_name: str, cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    before = len(cluster.runs())
    began = time.monotonic()
    first = send(celery_setup.app)
    time.sleep(1)

    again = send(celery_setup.app).get(timeout=20)

    seconds = time.monotonic() - began
    assert first.get(timeout=20)["outcome"] == "refreshed"
    assert (again["outcome"], again["reason"]) == ("skipped", "fresh")
    assert len(cluster.runs()) == before + 1
    seen = cluster.standin.requests()
    assert (seen["received"], seen["completed"]) == (1, 1)
    happens = "the first fetches, the second is told that the prices are fresh"
    record(FaultRow(GROUP, "two messages, a second apart", engine_name, happens, seconds, seen["completed"]))


@ON_SQLITE
@pytest.mark.parametrize("first", ["the queue", "a command"])
def test_a_refresh_forced_from_two_places_at_once_is_one_and_the_other_hears_who_does_it(
    first: str, engine_name: str, cluster: Cluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    send(celery_setup.app).get(timeout=20)
    trial = Trial(cluster)

    if first == "the queue":
        task = send(celery_setup.app, force=True)
        cluster.standin.wait_for(held=1, timeout=20)
    command = cluster.start_command("run-once", "--force", "--json")
    claim_began(command)
    if first == "a command":
        task = send(celery_setup.app, force=True)
        cluster.standin.wait_for(held=1, timeout=20)

    (run,) = trial.runs()
    assert run["forced"]
    if run["task_id"] == task.id:
        status, refused = outcome(command)
        assert status == 3
    else:
        refused = task.get(timeout=20)
    assert (refused["outcome"], refused["reason"], refused["holder"]) == ("skipped", "held", run["worker"])

    trial.start_clock()
    cluster.standin.release()
    done = outcome(command)[1] if run["task_id"] is None else task.get(timeout=20)
    assert done["outcome"] == "refreshed"
    trial.wait_until_recovered()
    trial.assert_refreshed()
    happens = "one refreshes, the other is told who does"
    record(
        trial.row(GROUP, f"forced, from the queue and a command at once, {first} first", engine_name, happens)
    )
