"""Upstream is away for an hour, or asks everybody to wait for two: it is not pressed, and not forgotten."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery

from tests.system.cluster.cluster import Cluster, close, get, outcome, prepare, send
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.nodes import HttpNode

LONGEST = 1.0
"""In place of ten minutes. So an hour is six seconds."""
HOUR = 6 * LONGEST
MOST_REQUESTS = 20
"""As in the simulation, where the hour is an hour."""
SLACK = 2.0
"""For processes that share two cores: no part of what is scaled."""
GROUP = "Upstream"


@pytest.fixture(scope="module")
def outage_cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Workers, a beat and a web process that have refreshed once."""
    with open_cluster("sqlite", PRICE_LOCK_LEASE="2", PRICE_RETRY_MAX=str(LONGEST)) as cluster:
        cluster.start_worker("one")
        cluster.start_worker("two")
        cluster.start_beat()
        cluster.start_web()
        cluster.wait_until_up()
        cluster.wait_until(lambda: cluster.runs() and cluster.last_run()["outcome"], "a first refresh", 30)
        yield cluster


@pytest.fixture
def cluster(outage_cluster: Cluster) -> Iterator[Cluster]:
    """The same, with an ordinary upstream before and after."""
    outage_cluster.standin.clear()
    outage_cluster.standin.forget()
    yield outage_cluster
    outage_cluster.standin.clear()


@pytest.fixture
def app(cluster: Cluster) -> Iterator[Celery]:
    """A client of the queue."""
    app = Celery("tests", broker=cluster.redis.url, backend=cluster.redis.url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


def web_of(cluster: Cluster) -> HttpNode:
    web = cluster.nodes["web"]
    assert isinstance(web, HttpNode)
    return web


def test_after_an_outage_of_an_hour_the_prices_are_fresh_within_ten_minutes(
    cluster: Cluster, record: Record
) -> None:
    runs_before = len(cluster.runs())
    cluster.standin.answer(status=503)
    cluster.make_stale(2)
    cluster.standin.wait_for(received=1, timeout=20)
    until = time.monotonic() + HOUR

    def told() -> str | None:
        reason = cluster.health(web_of(cluster))["prices"]["next_run_reason"]
        return reason if "failed: upstream answered 503" in reason else None

    cluster.wait_until(told, "/health says when the next attempt is, and why", 30)
    cluster.wait_until(lambda: time.monotonic() > until, "the hour is over", HOUR)

    cluster.standin.clear()
    back = time.monotonic()
    cluster.wait_until(lambda: cluster.last_run()["outcome"] == "refreshed", "the prices are fresh")
    seconds = time.monotonic() - back
    assert seconds <= LONGEST + SLACK
    cluster.wait_until(cluster.published_is_current, "they are published")
    runs = cluster.runs()[runs_before:]
    assert [run["attempt"] for run in runs] == list(range(len(runs)))
    seen = cluster.standin.requests()
    asked = seen["received"] - 1
    assert seen["completed"] == 1
    assert 5 < asked <= MOST_REQUESTS
    assert len(runs) == seen["received"]
    happens = f"asked {asked} times, ever more rarely; fresh within the longest wait once it is back"
    record(FaultRow(GROUP, "an outage of an hour (six seconds here)", "sqlite", happens, seconds, 1))


def test_when_upstream_asks_to_wait_for_hours_everybody_does_also_after_a_restart_and_without_redis(
    cluster: Cluster, app: Celery, record: Record
) -> None:
    cluster.standin.answer(status=429, headers={"Retry-After": "7200"})
    cluster.make_stale(2)
    cluster.wait_until(lambda: cluster.last_run()["outcome"] == "failed", "a run has failed", 20)
    cluster.standin.clear()
    cluster.standin.forget()

    for name in ("one", "two"):
        cluster.nodes[name].kill()
    cluster.services.redis.flushall()
    for name in ("one", "two"):
        cluster.start_worker(name)
    cluster.wait_until_up()
    by_task = send(app).get(timeout=20)
    without_redis = cluster.start_command("run-once", "--json", REDIS_URL="redis://127.0.0.1:1/0")
    status, by_hand = outcome(without_redis)
    prices = cluster.wait_until(
        lambda: (told := cluster.health(web_of(cluster))["prices"])["next_run"] and told, "/health knows it"
    )

    assert (by_task["outcome"], by_task["reason"]) == ("skipped", "waiting")
    assert (status, by_hand["outcome"], by_hand["reason"]) == (1, "skipped", "waiting")
    assert by_task["retry_at"] == by_hand["retry_at"] == prices["next_run"]
    left = datetime.fromisoformat(prices["next_run"]) - datetime.now(UTC)
    assert timedelta(minutes=115) < left <= timedelta(hours=2, seconds=1)
    assert "upstream asked to wait 7200 s" in prices["next_run_reason"]
    assert get(web_of(cluster).port, "/api/v1/models").status == 200
    assert cluster.standin.requests()["received"] == 0

    began = time.monotonic()
    status, forced = cluster.command("run-once", "--force")
    assert (status, forced["outcome"]) == (0, "refreshed")
    seconds, requests = time.monotonic() - began, cluster.standin.requests()["completed"]
    happens = "everybody waits, also after a restart and without Redis; only a forced refresh asks"
    record(FaultRow(GROUP, "asks everybody to wait for two hours", "sqlite", happens, seconds, requests))
