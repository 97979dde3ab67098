"""What must hold in the stores after any fault, once the cluster has recovered."""

from itertools import groupby, pairwise

from sqlalchemy import select

from prices.database import reading
from prices.models import catalogue, price_intervals, refresh_runs, revisions
from prices.publication import make_publication, read_publication
from tests.cluster.cluster import Cluster


def is_published(cluster: Cluster) -> bool:
    """Whether what Redis holds is, to the byte, what the database makes of its prices."""
    with reading(cluster.services.engine) as connection:
        made = make_publication(connection, cluster.services.settings.markup)
    return read_publication(cluster.services.redis) == made


def assert_sound(cluster: Cluster) -> None:
    """Assert that nothing runs, that each revision is one refresh's, and that no two prices overlap."""
    with reading(cluster.services.engine) as connection:
        state = connection.execute(select(catalogue)).one()
        runs = {run.id: run for run in connection.execute(select(refresh_runs))}
        made = connection.execute(select(revisions).order_by(revisions.c.revision)).all()
        intervals = connection.execute(
            select(price_intervals).order_by(price_intervals.c.model_id, price_intervals.c.valid_from)
        ).all()
    assert {run.state for run in runs.values()} == {"finished"}
    assert [row.revision for row in made] == list(range(1, state.revision + 1))
    for row in made:
        assert (runs[row.run_id].outcome, runs[row.run_id].revision) == ("refreshed", row.revision)
    assert state.refreshed_run_id == max(run.id for run in runs.values() if run.outcome == "refreshed")
    known_since = {interval.revision_from for interval in intervals}
    assert known_since <= {row.revision for row in made}
    in_force = [interval for interval in intervals if interval.revision_to is None]
    for _model, prices in groupby(in_force, key=lambda interval: interval.model_id):
        for earlier, later in pairwise(prices):
            assert earlier.valid_from <= earlier.valid_to <= later.valid_from
