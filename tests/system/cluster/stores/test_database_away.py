"""PostgreSQL refuses or hangs: upstream is left alone meanwhile, and the refresh is made good by itself."""

from celery import Celery

from prices.coordination.lease import read_holder
from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import ON_POSTGRESQL, Record
from tests.system.cluster.proxy import Proxy
from tests.system.cluster.stores.conftest import LEASE
from tests.system.cluster.trial import Trial


@ON_POSTGRESQL
def test_a_database_that_refuses_fails_the_run_before_upstream_is_asked(
    engine_name: str, cluster: Cluster, database_wire: Proxy, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    cluster.standin.release()
    database_wire.refuse()
    cluster.make_stale(2)
    task = send(app)
    cluster.wait_until(lambda: task.state == "FAILURE", "the task has failed")
    assert "the database failed" in str(task.result)
    assert read_holder(cluster.services.redis, LOCK_KEY) is None
    assert cluster.standin.requests()["received"] == 0

    trial.start_clock()
    database_wire.pass_on()
    trial.wait_until_recovered(40)
    trial.assert_refreshed()
    happens = "the task fails before upstream is asked; beat sends another once the database is back"
    record(trial.row("Database", "refuses before a run", engine_name, happens))


@ON_POSTGRESQL
def test_a_database_that_hangs_before_a_run_holds_it_up_until_it_is_back(
    engine_name: str, cluster: Cluster, database_wire: Proxy, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    cluster.standin.release()
    database_wire.hang()
    cluster.make_stale(2)
    for _time in range(2):  # the second begins when the lease of the first, which nobody renews, has ended
        send(app)
        wait_for_the_lease_to_end(cluster)
    assert cluster.standin.requests()["received"] == 0
    assert trial.runs() == []

    trial.start_clock()
    database_wire.pass_on()
    trial.wait_until_recovered(40)
    trial.assert_refreshed(failed=range(3))
    happens = "upstream is not asked; who waited for longer than the lease tries again"
    record(trial.row("Database", "hangs before a run", engine_name, happens))


@ON_POSTGRESQL
def test_a_database_that_hangs_in_a_fetch_for_longer_than_the_lease_ends_the_run_before_it_has_the_list(
    engine_name: str, cluster: Cluster, database_wire: Proxy, app: Celery, record: Record
) -> None:
    trial = Trial(cluster)
    send(app)
    cluster.standin.wait_for(held=1, timeout=20)
    database_wire.hang()
    wait_for_the_lease_to_end(cluster)
    cluster.standin.release()

    trial.start_clock()
    database_wire.pass_on()
    trial.wait_until_recovered(40)
    trial.assert_refreshed(failed=(1,), given_up=1)
    assert trial.runs()[0]["reason"].startswith("claim lost: it was not renewed")
    happens = "the run gives its request up and is tried again"
    record(trial.row("Database", "hangs in a fetch for longer than the lease", engine_name, happens))


def wait_for_the_lease_to_end(cluster: Cluster) -> None:
    """Wait until a worker has the lock, and then until it has it no more."""
    redis = cluster.services.redis
    cluster.wait_until(lambda: read_holder(redis, LOCK_KEY), "a worker has the lock")
    cluster.wait_until(lambda: read_holder(redis, LOCK_KEY) is None, "the lease has ended", 3 * LEASE)
