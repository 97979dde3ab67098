"""A cluster whose processes reach Redis, and PostgreSQL, through proxies; the tests look past these."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import make_url

from local.ports import HOST
from tests.system.cluster.cluster import Cluster, close, prepare
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.proxy import Proxy

LEASE = 3
NAMES = ("one", "two")


@dataclass(frozen=True)
class Wired:
    """A cluster and the wires between its processes and the stores; SQLite has none."""

    cluster: Cluster
    redis: Proxy
    database: Proxy | None

    def mend(self) -> None:
        """Let everything through."""
        for wire in (self.redis, self.database):
            if wire is not None:
                wire.set_trap(None)
                wire.pass_on()


def wire(cluster: Cluster, stack: ExitStack) -> Wired:
    """Put proxies between the stores and the processes that the cluster starts from now on."""
    redis = stack.enter_context(Proxy((HOST, cluster.redis.port)))
    cluster.env["REDIS_URL"] = cluster.redis.url.replace(f":{cluster.redis.port}/", f":{redis.port}/")
    url = make_url(cluster.env["DATABASE_URL"])
    if url.drivername == "sqlite":
        return Wired(cluster, redis, None)
    database = stack.enter_context(Proxy(f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"))
    proxied = url.set(host=HOST, port=database.port, query={"sslmode": "disable"})
    cluster.env["DATABASE_URL"] = proxied.render_as_string(hide_password=False)
    return Wired(cluster, redis, database)


@pytest.fixture(scope="package")
def wired(engine_name: str, open_cluster: OpenCluster) -> Iterator[Wired]:
    """Two workers and a beat that have refreshed once, with a short lease."""
    with ExitStack() as stack, open_cluster(engine_name, PRICE_LOCK_LEASE=str(LEASE)) as cluster:
        wired = wire(cluster, stack)
        for name in NAMES:
            cluster.start_worker(name)
        cluster.start_beat()
        cluster.wait_until_up()
        cluster.wait_until(lambda: [run for run in cluster.runs() if run["outcome"]], "a first refresh", 30)
        yield wired


@pytest.fixture(scope="package")
def app(wired: Wired) -> Iterator[Celery]:
    """A client of the queue that reaches Redis itself."""
    url = wired.cluster.redis.url
    app = Celery("tests", broker=url, backend=url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


@pytest.fixture
def cluster(wired: Wired, app: Celery) -> Iterator[Cluster]:
    """The cluster at rest, which goes on with everything mended."""
    cluster = wired.cluster
    cluster.wait_until(lambda: is_at_rest(cluster, app), "the workers have nothing to do", 40)
    yield cluster
    if cluster.redis.status != "running":
        cluster.redis.server.start()
    wired.mend()
    cluster.standin.clear()
    assert {node.process.status for node in cluster.nodes.values()} == {"running"}


def is_at_rest(cluster: Cluster, app: Celery) -> bool:
    """Whether both workers take messages and have none."""
    look = app.control.inspect([f"worker@{name}" for name in NAMES], limit=len(NAMES))
    try:
        at_work = look.active() or {}
    except (OperationalError, RedisError):
        return False  # a connection that was open when Redis went away
    return len(at_work) == len(NAMES) and not any(at_work.values()) and cluster.queued() == 0


@pytest.fixture
def redis_wire(wired: Wired) -> Proxy:
    """The way to Redis."""
    return wired.redis


@pytest.fixture
def database_wire(wired: Wired) -> Proxy:
    """The way to PostgreSQL."""
    assert wired.database is not None
    return wired.database
