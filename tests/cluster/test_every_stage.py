"""A refresh is lost, or stands still, at each of its stages: it is done all the same, once, and by itself."""

import re
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import pytest
from pytest_celery import CeleryTestSetup

from prices.lease import Lease, make_token
from prices.redis_client import LOCK_KEY
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ON_POSTGRESQL, ON_SQLITE, OpenCluster
from tests.cluster.gates import STAGES, Gates, Holder
from tests.cluster.halting import HaltingCluster
from tests.cluster.matrix import FaultRow
from tests.cluster.stored import Stored, assert_consistent

LEASE = 2
ENGINES = ("sqlite", "postgres")
ON_BOTH = ("claimed", "stashed", "committing", "committed")
"""The stages in which the database matters; the engines share the rest."""


class Outcome(NamedTuple):
    """How long it took until the refresh was done and published, who did it, and what happened."""

    seconds: float
    by_holder: bool
    happens: str


def kill_process(halting: HaltingCluster, holder: Holder) -> Outcome:
    kill = partial(holder.send, signal.SIGKILL, to_whole_worker=False)
    return as_ever(holder, halting.seconds_to_recovery((0, kill)))


def kill_worker(halting: HaltingCluster, holder: Holder) -> Outcome:
    return as_ever(holder, halting.seconds_to_recovery((0, partial(halting.replace, holder.worker))))


def end_worker(halting: HaltingCluster, holder: Holder) -> Outcome:
    """As a platform does. When KILL comes the worker has stopped waiting and may be handing its task over."""
    tell, kill = partial(holder.worker.kill, "SIGTERM"), partial(halting.replace, holder.worker)
    return as_ever(holder, halting.seconds_to_recovery((0, tell), (2, kill)))


def stop_process(halting: HaltingCluster, holder: Holder) -> Outcome:
    if halting.engine == "sqlite" and holder.stage.name == "committing":
        return stop_with_the_file_locked(halting, holder)
    return stop(halting, holder, whole=False)


def stop_worker(halting: HaltingCluster, holder: Holder) -> Outcome:
    return stop(halting, holder, whole=True)


FAULTS: dict[str, tuple[str, Callable[[HaltingCluster, Holder], Outcome]]] = {
    "process killed": ("The process of a refresh is killed", kill_process),
    "worker killed": ("The worker of a refresh is killed, parent and children", kill_worker),
    "worker ended": ("The worker of a refresh is told to end, and killed two seconds later", end_worker),
    "process stopped": ("The process of a refresh stands still beyond its lease", stop_process),
    "worker stopped": ("The worker of a refresh stands still beyond its lease", stop_worker),
}
STOPPED_ON = {"process stopped": "sqlite", "worker stopped": "postgres"}


def rows(engine: str) -> list[tuple[str, str]]:
    """Each fault at each stage: where the database matters on both engines, else on one of them in turn.

    In such a stage a process stands still on SQLite, a whole worker on PostgreSQL.
    """
    return [
        (fault, stage)
        for turn, fault in enumerate(FAULTS)
        for step, stage in enumerate(STAGES)
        if (
            STOPPED_ON.get(fault, engine) == engine
            if stage in ON_BOTH
            else ENGINES[(turn + step) % len(ENGINES)] == engine
        )
    ]


def as_ever(holder: Holder, seconds: float) -> Outcome:
    return Outcome(seconds, holder.stage.committed, holder.stage.happens)


def stop(halting: HaltingCluster, holder: Holder, *, whole: bool) -> Outcome:
    """Stop the holder until all is done and another has the lock; it leaves no trace when it goes on."""
    services = halting.cluster.services
    seconds = halting.seconds_to_recovery((0, partial(holder.send, signal.SIGSTOP, to_whole_worker=whole)))
    halting.wait_for_free_claim()
    other = Lease(services.redis, LOCK_KEY, make_token("another"), lease=timedelta(minutes=1))
    assert other.take() is None
    before, runs = Stored.read(services), halting.new_runs()
    holder.send(signal.SIGCONT, to_whole_worker=whole)
    halting.go_on(holder)
    assert Stored.read(services) == before
    assert halting.new_runs() == runs
    assert_consistent(services)
    assert other.release()
    if holder.stage.committed:
        return as_ever(holder, seconds)
    if holder.stage.name == "committing":
        why, comes_of_it = "IdleInTransactionSessionTimeout", "the server has ended its transaction"
    else:
        why, comes_of_it = "claim lost: ", "when it goes on its claim is lost"
    said = rf"Price update failed .*{why}.* run_id={holder.run_id} "
    assert re.search(said, holder.worker.logs()), holder.worker.logs()[-2000:]
    return Outcome(seconds, by_holder=False, happens=f"{holder.stage.happens}; {comes_of_it}")


def stop_with_the_file_locked(halting: HaltingCluster, holder: Holder) -> Outcome:
    """On SQLite who stands still in its commit has the file's lock: others fail, say why, and try again."""
    holder.send(signal.SIGSTOP, to_whole_worker=False)
    halting.wait_for_any_log("RefreshFailedError('the database failed (SQLITE_BUSY)')")
    assert [run["state"] for run in halting.new_runs()] == ["running"]
    assert halting.cluster.standin.requests()["received"] == 1
    holder.send(signal.SIGCONT, to_whole_worker=False)
    seconds = halting.seconds_to_recovery((0, partial(halting.gates.open, holder.stage.name)))
    happens = "others fail with SQLITE_BUSY and try again; it finishes once it goes on"
    return Outcome(seconds, by_holder=True, happens=happens)


@pytest.fixture(scope="module")
def halting_cluster(
    engine_name: str, open_cluster: OpenCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HaltingCluster]:
    """A cluster with gates, a short lease and prices."""
    folder = tmp_path_factory.mktemp("stages")
    with open_cluster(engine_name, PRICE_LOCK_LEASE=str(LEASE), STAGES_FOLDER=str(folder)) as cluster:
        halting = HaltingCluster(cluster, Gates(folder), engine_name)
        halting.start()
        yield halting


@pytest.fixture
def halting(halting_cluster: HaltingCluster) -> HaltingCluster:
    """The cluster, whole again, with prices that are due."""
    halting_cluster.get_ready()
    return halting_cluster


@pytest.fixture
def cluster(halting: HaltingCluster) -> Cluster:
    return halting.cluster


Record = Callable[[FaultRow], None]


@ON_SQLITE
@pytest.mark.parametrize(("fault", "stage"), rows("sqlite"))
def test_on_sqlite_a_refresh_is_done_once_and_without_help_whatever_becomes_of_its_holder(
    fault: str, stage: str, halting: HaltingCluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    check(fault, stage, halting, celery_setup, record)


@ON_POSTGRESQL
@pytest.mark.parametrize(("fault", "stage"), rows("postgres"))
def test_on_postgresql_a_refresh_is_done_once_and_without_help_whatever_becomes_of_its_holder(
    fault: str, stage: str, halting: HaltingCluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    check(fault, stage, halting, celery_setup, record)


def check(
    fault: str, stage: str, halting: HaltingCluster, celery_setup: CeleryTestSetup, record: Record
) -> None:
    """Do a fault to a refresh at a stage, and assert and record what comes of it."""
    title, act = FAULTS[fault]
    holder = halting.halt(celery_setup.app, STAGES[stage])

    done = act(halting, holder)

    halting.assert_done_once(holder, by_holder=done.by_holder)
    halting.wait_for_free_claim()
    requests = halting.cluster.standin.requests()["completed"]
    record(FaultRow(title, holder.stage.told, halting.engine, done.happens, done.seconds, requests))
