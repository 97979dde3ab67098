"""Another writer holds the database for longer than a refresh waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from sqlalchemy import select, text

from prices.store.database import writing
from prices.store.tables import catalogue
from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import Record
from tests.system.cluster.stores.conftest import NAMES
from tests.system.cluster.trial import Trial


@contextmanager
def another_writer(cluster: Cluster) -> Iterator[None]:
    """Hold the one write lock of SQLite, the catalogue's row of PostgreSQL."""
    with writing(cluster.services.engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(select(catalogue).with_for_update())
        yield


def failures(cluster: Cluster) -> int:
    """How many tasks have failed because of the database."""
    workers = [cluster.nodes[name] for name in NAMES]
    return sum(worker.logs().count("RefreshFailedError('the database failed") for worker in workers)


def test_a_database_that_another_writer_holds_fails_a_run_before_upstream_is_asked(
    engine_name: str, cluster: Cluster, record: Record
) -> None:
    trial, before = Trial(cluster), failures(cluster)
    cluster.standin.release()
    cluster.nodes["beat"].kill("SIGSTOP")
    cluster.make_stale(2)
    with another_writer(cluster):
        cluster.nodes["beat"].kill("SIGCONT")
        cluster.wait_until(lambda: failures(cluster) > before, "the task that beat sent has failed", 30)
        assert cluster.standin.requests()["received"] == 0

    trial.start_clock()
    trial.wait_until_recovered(40)
    trial.assert_refreshed()
    happens = "the task fails before upstream is asked, and is sent again"
    record(trial.row("Database", "is held by another writer before a run", engine_name, happens))


def test_a_database_that_another_writer_holds_in_a_run_costs_no_second_request(
    engine_name: str, cluster: Cluster, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    task = send(app)
    cluster.standin.wait_for(held=1, timeout=20)
    with another_writer(cluster):
        cluster.standin.release()
        cluster.wait_until(lambda: task.state == "FAILURE", "the task has failed", 40)

    trial.start_clock()
    trial.wait_until_recovered(40)
    trial.assert_refreshed(failed=(1,))
    happens = "the next try commits the body that was received"
    record(trial.row("Database", "is held by another writer in a run", engine_name, happens))
