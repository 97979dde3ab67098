"""Forty web processes and a PostgreSQL that allows twenty connections, as small plans do."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from celery import Celery
from sqlalchemy import text

from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import make_engine, reading
from tests.conftest import migrate
from tests.support.postgres import make_postgres_database, postgres_server
from tests.system.cluster.cluster import Cluster, close, get, prepare, send
from tests.system.cluster.conftest import ON_POSTGRESQL, OpenCluster, Record
from tests.system.cluster.nodes import HttpNode
from tests.system.cluster.trial import Trial

CONNECTIONS = 20
SERVERS, WORKERS = 10, 4
"""So many servers with so many processes each."""
MOST_OF_WEB = 5
PROBES = ("/health", "/readyz")
PAST = "/api/v1/changes?kind=all"


class Counted:
    """What many who ask at once were answered, by path and status."""

    def __init__(self, webs: list[HttpNode], paths: tuple[str, ...], each: int, pause: float) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.failed: list[str] = []
        self.refusals: dict[str, bytes] = {}
        """The last body of each path that was answered with another status than 200."""
        self._pause = pause
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(web.port, path), daemon=True)
            for web in webs
            for path in paths
            for _ in range(each)
        ]

    def _ask(self, port: int, path: str) -> None:
        while not self._stop.wait(self._pause):
            try:
                answer = get(port, path, timeout=20)
                self.answers[path, answer.status] += 1
                if answer.status != 200:
                    self.refusals[path] = answer.body
            except OSError as error:
                self.failed.append(f"{path}: {error}")

    def __enter__(self) -> "Counted":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture(scope="module")
def crowded(
    open_cluster: OpenCluster, guardian: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A worker, a beat and forty web processes on a database of twenty connections, after a first refresh."""
    with postgres_server(max_connections=CONNECTIONS) as server:
        url = make_postgres_database(server, "crowded", owner="app")
        migrate(url)
        with open_cluster("sqlite", WEB_CONCURRENCY=str(WORKERS), PRICE_LOCK_LEASE="3") as cluster:
            cluster.env["DATABASE_URL"] = url
            cluster.services.engine.dispose()
            # The test looks on from a place that the server keeps for its administrators.
            above = Settings.from_env({**cluster.env, "DATABASE_URL": url.replace("app:@", "postgres:@")})
            engine = make_engine(above.database_url, process="test")
            cluster.services = replace(Services.make(above), engine=engine)
            cluster.start_worker("one")
            cluster.start_beat()
            for number in range(SERVERS):
                cluster.start_web(f"web{number}")
            cluster.wait_until_up()
            cluster.wait_until(
                lambda: [run for run in cluster.runs() if run["outcome"]], "a first refresh", 30
            )
            for web in webs(cluster):
                cluster.wait_until(partial(is_loaded, web), f"{web.name} has loaded all it needs", 60)
            yield cluster


@pytest.fixture
def cluster(crowded: Cluster) -> Cluster:
    return crowded


@pytest.fixture
def app(crowded: Cluster) -> Iterator[Celery]:
    """A client of the queue."""
    app = Celery("tests", broker=crowded.redis.url, backend=crowded.redis.url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


def webs(cluster: Cluster) -> list[HttpNode]:
    return [node for node in cluster.nodes.values() if isinstance(node, HttpNode)]


def is_loaded(web: HttpNode) -> bool:
    """Whether the processes of a server answer what they load the most for."""
    with ThreadPoolExecutor(2 * WORKERS) as pool:
        statuses = [pool.submit(lambda: get(web.port, PAST, timeout=30).status) for _ in range(4 * WORKERS)]
        return {status.result() for status in statuses} == {200}


def connections(cluster: Cluster, process: str = "web") -> int:
    """How many connections the processes of a kind have open."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
    with reading(cluster.services.engine) as connection:
        return int(connection.execute(query, {"name": f"pricebeat {process}"}).scalar_one())


def wait_until_web_has_none(cluster: Cluster) -> None:
    cluster.wait_until(lambda: connections(cluster) == 0, "web at rest holds no connection", 10)


def refreshed(cluster: Cluster, app: Celery) -> Trial:
    """Let the prices be due, which beat must see; force a refresh through the queue, and one by hand."""
    trial = Trial(cluster)
    trial.start_clock()
    send(app, force=True)
    cluster.standin.wait_for(held=1, timeout=40)
    assert connections(cluster, "worker") <= 2
    assert connections(cluster, "beat") <= 1
    cluster.standin.release()
    trial.wait_until_recovered(60)
    trial.assert_refreshed()
    status, told = cluster.command("run-once", "--force")
    assert (status, told["outcome"]) == (0, "refreshed")
    return trial


@ON_POSTGRESQL
def test_probes_of_forty_processes_hold_few_connections_and_a_refresh_works_meanwhile(
    engine_name: str, cluster: Cluster, app: Celery, record: Record
) -> None:
    wait_until_web_has_none(cluster)
    with Counted(webs(cluster), PROBES, each=WORKERS, pause=0.5) as probes:
        # Each process asks the database once whether it knows the commit that it serves.
        asked = 16 * SERVERS * WORKERS
        cluster.wait_until(
            lambda: sum(probes.answers.values()) > asked, "each has checked what it serves", 60
        )
        most = 0
        until = time.monotonic() + 5
        while time.monotonic() < until:
            most = max(most, connections(cluster))
            time.sleep(0.05)
        trial = refreshed(cluster, app)
    assert probes.failed == []
    assert probes.answers.keys() == {(path, 200) for path in PROBES}, probes.refusals
    assert sum(probes.answers.values()) > 5 * SERVERS * WORKERS
    assert most <= MOST_OF_WEB
    wait_until_web_has_none(cluster)
    happens = f"every probe is answered with 200, web holds at most {MOST_OF_WEB} connections, refreshes work"
    fault = "40 web processes are probed, the database allows 20 connections"
    record(trial.row("Many instances", fault, engine_name, happens))


@ON_POSTGRESQL
def test_clients_of_forty_processes_who_ask_the_past_keep_neither_a_refresh_nor_a_probe_waiting(
    engine_name: str, cluster: Cluster, app: Celery, record: Record
) -> None:
    # A question a second for each process: its connection stays open for three, so all are pressed for.
    with Counted(webs(cluster), (PAST,), each=2 * WORKERS, pause=1.5) as past:
        cluster.wait_until(lambda: connections(cluster) > MOST_OF_WEB, "clients press upon the database", 20)
        with Counted(webs(cluster), PROBES, each=1, pause=0.5) as probes:
            trial = refreshed(cluster, app)
    assert past.failed == probes.failed == []
    assert probes.answers.keys() == {(path, 200) for path in PROBES}, probes.refusals
    assert past.answers[PAST, 200] > 0
    assert past.answers.keys() <= {(PAST, 200), (PAST, 503)}
    happens = "web makes way: the refresh gets its connections, every probe is answered with 200"
    fault = "clients ask the past on 40 web processes, the database allows 20 connections"
    record(trial.row("Many instances", fault, engine_name, happens))
