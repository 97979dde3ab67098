"""A refresh is lost, or stands still, at each of its stages: it is done all the same, once, and by itself."""

from collections.abc import Callable, Iterator

import pytest
from pytest_celery import CeleryTestSetup

from tests.system.cluster.cluster import Cluster
from tests.system.cluster.conftest import ON_POSTGRESQL, ON_SQLITE, OpenCluster
from tests.system.cluster.gates import STAGES, Gates
from tests.system.cluster.halting import HaltingCluster
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.recovery import assert_done_once
from tests.system.cluster.stage_faults import FAULTS

LEASE = 2
ENGINES = ("sqlite", "postgres")
ON_BOTH = ("claimed", "stashed", "committing", "committed")
"""The stages in which the database matters; the engines share the rest."""
STOPPED_ON = {"process stopped": "sqlite", "worker stopped": "postgres"}
Record = Callable[[FaultRow], None]


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

    assert_done_once(halting, holder, by_holder=done.by_holder)
    halting.wait_for_free_claim()
    requests = halting.cluster.standin.requests()["completed"]
    record(FaultRow(title, holder.stage.told, halting.engine, done.happens, done.seconds, requests))
