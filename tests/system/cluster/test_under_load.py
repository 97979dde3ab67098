"""Five hundred clients while prices change, Redis restarts, a worker dies and the server reloads."""

import os
import signal
import time
from pathlib import Path

import pytest

from prices.refresh.outcome import Refresh
from prices.refresh.story import refresh_prices
from tests.system.cluster.cluster import Cluster
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.crowd import Crowd
from tests.system.cluster.nodes import HttpNode

CLIENTS, EVERY = 500, 1.0
MODEL = "granite-bay/two-tiers"
KILLED_FOR = 1.0
"""How long after a worker's death its connections may still be found broken."""


@pytest.fixture
def celery_worker_cluster() -> None:
    """Refreshes are made here; no worker is needed."""


def test_nobody_is_sent_away_and_no_catalogue_is_mixed(open_cluster: OpenCluster) -> None:
    with open_cluster("sqlite", models=420, WEB_CONCURRENCY="2") as cluster:
        refresh(cluster, 0)
        web = cluster.start_web()
        cluster.wait_until_up()
        crowd = Crowd(web.port, CLIENTS, EVERY)
        crowd.start()
        try:
            serve_all(cluster, crowd, revision=1)
            before = workers(web)
            early = memory(before)
            refresh(cluster, 1)
            serve_all(cluster, crowd, revision=2)
            cluster.redis.kill()
            serve_all(cluster, crowd, revision=2)
            cluster.redis.server.start()
            refresh(cluster, 2)
            serve_all(cluster, crowd, revision=3)
            killed_at = time.monotonic()
            os.kill(before[0], signal.SIGKILL)
            cluster.wait_until(
                lambda: len(set(workers(web)) - {before[0]}) == 2, "a killed worker is replaced", 30
            )
            refresh(cluster, 3)
            serve_all(cluster, crowd, revision=4)
            web.kill("SIGHUP")
            cluster.wait_until(
                lambda: len(workers(web)) == 2 and not set(workers(web)) & set(before),
                "a reload replaces every worker",
                30,
            )
            refresh(cluster, 4)
            serve_all(cluster, crowd, revision=5)
            late = memory(workers(web))
        finally:
            seen = crowd.stop()

        dropped = [failure for failure in seen.failures if not 0 <= failure[0] - killed_at < KILLED_FOR]
        assert not dropped, [(round(at - killed_at, 2), what) for at, what in dropped[:10]]
        assert set(seen.statuses) == {200, 304}
        assert {path_and_revision: len(told) for path_and_revision, told in seen.bodies.items()} == {
            (path, str(revision)): 1 for path in Crowd.PATHS for revision in range(1, 6)
        }
        assert late < 1.3 * early, f"{early:.0f} MiB have become {late:.0f}"
        assert not [line for line in web.logs().splitlines() if "Traceback" in line]


def serve_all(cluster: Cluster, crowd: Crowd, revision: int) -> None:
    """Wait until every client was answered twice more, and a revision was served on every path."""
    before = list(crowd.seen.answers)
    cluster.wait_until(
        lambda: (
            all(now >= then + 2 for then, now in zip(before, crowd.seen.answers, strict=True))
            and all((path, str(revision)) in crowd.seen.bodies for path in Crowd.PATHS)
        ),
        f"all clients are served, with revision {revision} at the end",
        60,
    )


def refresh(cluster: Cluster, number: int) -> None:
    """Let upstream rename a model, and refresh."""
    cluster.standin.clear()
    cluster.standin.answer(patch={MODEL: {"name": f"Renamed {number}"}})
    done: Refresh = refresh_prices(cluster.services, worker="test", force=True)
    assert (done.outcome, done.revision) == ("refreshed", number + 1)


def workers(web: HttpNode) -> list[int]:
    """The processes that a web process serves by."""
    children = Path(f"/proc/{web.process.pid}/task/{web.process.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def memory(pids: list[int]) -> float:
    """What processes have resident together, MiB, shared pages divided among those who share them."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in pids]
    return sum(int(line.split()[1]) for lines in rollups for line in lines if line.startswith("Pss:")) / 1024
