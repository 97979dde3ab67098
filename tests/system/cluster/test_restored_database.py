"""A database is restored from a backup of a day before, while everything runs and Redis stays as it was."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.system.cluster.cluster import Answer, Cluster, get
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.nodes import HttpNode
from tests.system.cluster.stored import first_slug, schedules_ever


@pytest.fixture
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """A worker, a beat and a web process that serve their first prices."""
    with open_cluster("sqlite", PRICE_LOCK_LEASE="2") as cluster:
        cluster.start_worker("one", WORKER_CONCURRENCY="1")
        cluster.start_beat()
        cluster.start_web()
        cluster.wait_until_up()
        yield cluster


def answer(cluster: Cluster) -> Answer:
    web = cluster.nodes["web"]
    assert isinstance(web, HttpNode)
    return get(web.port, "/api/v1/models")


def serves(cluster: Cluster, revision: int) -> bool:
    return answer(cluster).headers.get("x-price-revision") == str(revision)


def commit_of(answered: Answer) -> str:
    return answered.headers["x-price-commit"]


def health_made_after(cluster: Cluster, at: datetime) -> str | None:
    """The status of a report that was made after a time; None where another made it before."""
    web = cluster.nodes["web"]
    assert isinstance(web, HttpNode)
    report = cluster.health(web)
    return report["status"] if datetime.fromisoformat(report["at"]) > at else None


def test_the_restored_past_is_served_within_seconds_and_what_was_lost_stays_distinguishable(
    cluster: Cluster, tmp_path: Path, record: Record
) -> None:
    cluster.wait_until(lambda: serves(cluster, 1), "the first prices are served", 60)
    before = answer(cluster)
    database = str(cluster.services.engine.url.database)
    backup = tmp_path / "backup.sqlite3"
    with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
        (refreshed_at,) = copy.execute("SELECT refreshed_at FROM catalogue").fetchone()
        day_before = datetime.fromisoformat(refreshed_at) - timedelta(days=1)
        then = day_before.strftime("%Y-%m-%d %H:%M:%S.%f")
        copy.execute("UPDATE catalogue SET refreshed_at = ?", (then,))
        copy.execute("UPDATE refresh_runs SET started_at = ?, heartbeat_at = ?, finished_at = ?", [then] * 3)
        copy.commit()
    slug = first_slug(cluster.services)
    first = Decimal(json.loads(schedules_ever(cluster.services, slug)[0])["prompt"])
    cluster.standin.answer(patch={slug: {"pricing.prompt": f"{first * 1001 / 1000:f}"}})
    cluster.make_stale_under_beat()
    assert cluster.command("run-once")[0] in (0, 3)
    cluster.wait_until(lambda: serves(cluster, 2), "the second prices are served", 30)
    lost = answer(cluster)
    cluster.standin.forget()
    cluster.standin.answer(gate={"hold": True}, patch={slug: {"pricing.prompt": f"{first * 1002 / 1000:f}"}})

    began = time.monotonic()
    with closing(sqlite3.connect(backup)) as copy, closing(sqlite3.connect(database)) as live:
        copy.backup(live)
    restored_at = datetime.now(UTC)
    healthy_too_early = []

    def is_repaired() -> bool:
        status = health_made_after(cluster, restored_at)
        repaired = serves(cluster, 1) and cluster.published_is_current()
        if status == "healthy" and not repaired:
            healthy_too_early.append(status)
        return repaired

    cluster.wait_until(is_repaired, "the restored prices are published and served", 30)
    seconds = time.monotonic() - began
    assert not healthy_too_early
    assert commit_of(answer(cluster)) == commit_of(before)

    cluster.standin.wait_for(held=1, timeout=30)  # they are a day old: beat has sent for newer ones
    cluster.standin.release()
    cluster.wait_until(lambda: serves(cluster, 2), "a second revision is served again", 30)
    again = answer(cluster)
    assert commit_of(again) not in (
        commit_of(before),
        commit_of(lost),
    )
    assert again.body != lost.body
    assert cluster.standin.requests()["completed"] == 1

    happens = "beat publishes the restored prices, all follow; a number given out again has another commit"
    fault = "is restored from a backup of a day before, Redis as it was"
    record(FaultRow("Database", fault, "sqlite", happens, seconds, 1))
