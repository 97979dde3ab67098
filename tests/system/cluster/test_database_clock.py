"""The database's clock, which a whole cluster goes by, is set forward and back while it works."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from celery import Celery

from prices.published.redis_copy import read_stamp
from tests.system.cluster.cluster import Cluster, close, get, prepare, send
from tests.system.cluster.conftest import ON_POSTGRESQL, OpenCluster, Record
from tests.system.cluster.database_clock import DatabaseClock
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.nodes import HttpNode
from tests.system.cluster.trial import Trial

DAYS, MINUTES = 86_400, 60
SET_BACK = -40 * MINUTES


@pytest.fixture(scope="module")
def wound(engine_name: str, open_cluster: OpenCluster) -> Iterator[tuple[Cluster, DatabaseClock]]:
    """A worker, a beat and a web process that have refreshed once, and their database's clock."""
    with (
        open_cluster(engine_name, PRICE_LOCK_LEASE="3") as cluster,
        closing(DatabaseClock(cluster.env["DATABASE_URL"])) as clock,
    ):
        cluster.start_worker("one")
        cluster.start_beat()
        cluster.start_web()
        cluster.wait_until_up()
        cluster.wait_until(lambda: [run for run in cluster.runs() if run["outcome"]], "a first refresh", 40)
        yield cluster, clock


@pytest.fixture
def cluster(wound: tuple[Cluster, DatabaseClock], clock: DatabaseClock) -> Cluster:
    return wound[0]


@pytest.fixture
def clock(wound: tuple[Cluster, DatabaseClock]) -> Iterator[DatabaseClock]:
    """Right at first and in the end."""
    yield wound[1]
    wound[1].set(0)


@pytest.fixture
def app(cluster: Cluster) -> Iterator[Celery]:
    """A client of the queue."""
    app = Celery("tests", broker=cluster.redis.url, backend=cluster.redis.url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


def seconds_ahead(cluster: Cluster) -> float:
    """How far ahead of the right time the published prices say that they were confirmed."""
    stamp = read_stamp(cluster.services.redis, cluster.services.keys)
    assert stamp is not None
    assert stamp.refreshed_at is not None
    return (stamp.refreshed_at - datetime.now(UTC)).total_seconds()


def wait_until_served(cluster: Cluster) -> None:
    """Wait until the web process serves the revision that was committed last."""
    (web,) = [node for node in cluster.nodes.values() if isinstance(node, HttpNode)]
    revision = cluster.last_run()["revision"]
    cluster.wait_until(
        lambda: get(web.port, "/readyz").json["revision"] == revision, "the web process serves it", 20
    )


@ON_POSTGRESQL
def test_a_clock_set_forward_and_back_costs_one_fetch_each_and_leaves_no_time_ahead(
    engine_name: str, cluster: Cluster, clock: DatabaseClock, record: Record
) -> None:
    rows: list[FaultRow] = []
    for ahead in (3 * DAYS, 0):
        trial = Trial(cluster)
        trial.start_clock()
        clock.set(ahead)
        cluster.standin.wait_for(held=1, timeout=40)
        cluster.standin.release()
        trial.wait_until_recovered(30)
        trial.assert_refreshed(failed=range(2))
        wait_until_served(cluster)
        assert seconds_ahead(cluster) == pytest.approx(ahead, abs=60)
        happens = "beat sends each time, and one fetches; the time ahead does not stay"
        rows.append(
            trial.row("Clocks", "the database's is set 3 days forward, and back", engine_name, happens)
        )

    slowest = max(rows, key=lambda row: row.seconds)
    record(replace(slowest, requests=sum(row.requests for row in rows)))


@ON_POSTGRESQL
def test_what_is_committed_after_a_clock_was_set_back_is_served_at_once(
    engine_name: str, cluster: Cluster, clock: DatabaseClock, app: Celery, record: Record
) -> None:
    wait_until_served(cluster)
    trial = Trial(cluster)

    clock.set(SET_BACK)
    trial.start_clock()
    send(app, force=True)
    cluster.standin.wait_for(held=1, timeout=30)
    cluster.standin.release()
    trial.wait_until_recovered(30)

    wait_until_served(cluster)
    trial.assert_refreshed(failed=range(2))
    assert seconds_ahead(cluster) == pytest.approx(SET_BACK, abs=60)
    happens = "the next refresh is published and served though its time is earlier than the last one's"
    record(trial.row("Clocks", "the database's is set back by 40 minutes", engine_name, happens))
