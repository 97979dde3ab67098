"""The connection to PostgreSQL is cut during the COMMIT of a refresh: both ways that can end are well."""

import pytest
from celery import Celery

from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.conftest import ON_POSTGRESQL, Record
from tests.system.cluster.proxy import Proxy
from tests.system.cluster.trap import Fate, Trap
from tests.system.cluster.trial import Trial

COMMIT_OF_A_REFRESH = (b"UPDATE catalogue SET revision", b"COMMIT")
# When, what the proxy does, how many runs fail of it, and what comes next.
FATES = {
    "before PostgreSQL has it": (Fate.CUT, 1, "the next run commits the body that was received"),
    "after PostgreSQL has done it": (Fate.CUT_REPLY, 0, "the prices are fresh, and beat publishes them"),
}


@ON_POSTGRESQL
@pytest.mark.parametrize("when", FATES)
def test_a_commit_that_is_cut_off_is_made_once_and_from_one_request(
    when: str, engine_name: str, cluster: Cluster, database_wire: Proxy, app: Celery, record: Record
) -> None:
    fate, failed, happens = FATES[when]
    trial = Trial(cluster)
    trap = Trap(fate, *COMMIT_OF_A_REFRESH)
    database_wire.set_trap(trap)
    cluster.standin.release()

    trial.start_clock()
    task = send(app)
    cluster.wait_until(lambda: task.state == "FAILURE", "the task has failed")
    assert trap.has_caught
    assert "the database failed" in str(task.result)

    trial.wait_until_recovered(40)
    trial.assert_refreshed(failed=(failed,))
    record(trial.row("Database", f"cuts the COMMIT off {when}", engine_name, happens))
