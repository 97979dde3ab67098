"""The cluster's fixtures: pytest-celery's, over local processes, so that Docker is never contacted."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count

import pytest
from celery import Celery
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestWorker,
    CeleryWorkerCluster,
    RedisTestBackend,
    RedisTestBroker,
)

from local.guardian import Guardian
from local.standin.client import Standin
from tests.conftest import migrate
from tests.support.postgres import make_postgres_database
from tests.system.cluster.cluster import Cluster, close, prepare
from tests.system.cluster.matrix import FaultRow

OpenCluster = Callable[..., AbstractContextManager[Cluster]]
Record = Callable[[FaultRow], None]

ON_SQLITE = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
"""For what has nothing to do with the database."""
ON_POSTGRESQL = pytest.mark.parametrize("engine_name", ["postgres"], indirect=True)


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """What ends the processes that are left when pytest ends or is killed."""
    guardian = Guardian()
    yield guardian
    guardian.close()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each database engine that we support."""
    return str(request.param)


@pytest.fixture(scope="session")
def make_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Make migrated databases on an engine, given its name; they go when their folder or server goes."""
    numbers = count()

    def make(engine_name: str) -> str:
        if engine_name == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('database')}/pricebeat.sqlite3"
        else:
            server = request.getfixturevalue("postgres_url")
            url = make_postgres_database(server, f"cluster_{os.getpid()}_{next(numbers)}")
        migrate(url)
        return url

    return make


@pytest.fixture(scope="session")
def open_cluster(
    guardian: Guardian, make_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> OpenCluster:
    """Open a cluster on an engine: its own Redis, database and upstream, and no process of ours yet."""

    @contextlib.contextmanager
    def opened(engine_name: str, *, models: int = 60, **settings: str) -> Iterator[Cluster]:
        with Standin(models=models) as standin:
            folder = tmp_path_factory.mktemp("cluster")
            cluster = Cluster(guardian, folder, make_database(engine_name), standin, **settings)
            try:
                yield cluster
            finally:
                cluster.close()

    return opened


@pytest.fixture(scope="session")
def standing_cluster(engine_name: str, open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Two workers of four processes each and a web process, for the tests that break none of them."""
    with open_cluster(engine_name, WORKER_CONCURRENCY="4") as cluster:
        cluster.start_worker("one")
        cluster.start_worker("two")
        cluster.start_web()
        cluster.wait_until_up()
        yield cluster


@pytest.fixture
def cluster(standing_cluster: Cluster) -> Cluster:
    """The standing cluster with an ordinary upstream, prices that are due, and an empty queue."""
    standing_cluster.standin.clear()
    standing_cluster.standin.release()
    standing_cluster.services.redis.delete("celery")
    standing_cluster.make_stale()
    standing_cluster.standin.forget()
    return standing_cluster


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Record:
    """Record what a fault did, for the page of the fault matrix."""

    def recorded(row: FaultRow) -> None:
        for name, value in row.properties():
            record_property(name, value)

    return recorded


@pytest.fixture
def celery_broker_cluster(cluster: Cluster) -> CeleryBrokerCluster:
    """The cluster's Redis as the broker."""
    return CeleryBrokerCluster(RedisTestBroker(cluster.redis))


@pytest.fixture
def celery_backend_cluster(cluster: Cluster) -> CeleryBackendCluster:
    """The cluster's Redis as the result store."""
    return CeleryBackendCluster(RedisTestBackend(cluster.redis))


@pytest.fixture
def celery_worker_cluster(
    cluster: Cluster, celery_broker_cluster: CeleryBrokerCluster
) -> CeleryWorkerCluster:
    """The cluster's workers."""
    workers = [cluster.nodes["one"], cluster.nodes["two"]]
    return CeleryWorkerCluster(*(CeleryTestWorker(worker, app=None) for worker in workers))


@pytest.fixture
def celery_setup_app(celery_setup_app: Celery) -> Iterator[Celery]:
    """pytest-celery's client, its connections closed at the end."""
    prepare(celery_setup_app)
    yield celery_setup_app
    close(celery_setup_app)
