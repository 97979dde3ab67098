"""What must come right: soon after a send that failed, and in the calm after all misfortune."""

from typing import Any

from prices.coordination.freshness import answer_within
from tests.system.simulation.cluster import LOOK_SECONDS, Cluster
from tests.system.simulation.database import KEYS
from tests.system.simulation.process import Process

HEIR_SECONDS = 180.0
"""Within how long a run whose holder died is taken over."""
_observer = Process("observer")


def expect_another_try(cluster: Cluster, process: Process) -> None:
    """A send that failed is tried again soon, by a beat that nothing else befalls.

    Unless a run that was on its way has made the prices fresh meanwhile, or a message that another beat sent
    before, of which this one could not know while Redis was away, is still waited for.
    """
    noted, began = cluster.server.peek(KEYS.beat_sent.encode()), cluster.world.now
    if noted and cluster.clock.now - int(noted) / 1_000_000 > 1:
        return
    tries, faults, runs = cluster.tries_to_send, process.faults, _runs(cluster)

    def look_back() -> None:
        untouched = process.alive and process.faults == faults and _runs(cluster) == runs
        leads = process.name in str(cluster.server.peek(KEYS.beat_leader.encode()))
        shown_at = cluster.watch.shown_at
        fresh = shown_at is not None and abs(cluster.clock.now - shown_at) < cluster.watch.window
        if (
            untouched
            and not cluster.clock.was_set_since(began)
            and leads
            and not fresh
            and cluster.tries_to_send == tries
        ):
            cluster.watch.broken(f"{process.name} forgot a refresh that it could not send")

    cluster.world.spawn(_observer, look_back, 3 * LOOK_SECONDS)


def _runs(cluster: Cluster) -> list[Any]:
    query = "SELECT max(id), max(heartbeat_at), max(state) FROM refresh_runs"
    return cluster.database.raw.execute(query).fetchall()


def expect_no_dead_run(cluster: Cluster, since: float) -> None:
    """A run whose holder died is taken over within three minutes of calm, unless the prices are fresh."""
    now, refreshed_at, late = cluster.world.now, cluster.watch.refreshed_at, cluster.watch.lateness
    if refreshed_at is not None and now - refreshed_at < cluster.watch.window + HEIR_SECONDS + late:
        return
    query = "SELECT id FROM refresh_runs WHERE state = 'running'"
    for (run,) in cluster.database.raw.execute(query).fetchall():
        if now - max(since, cluster.watch.beaten_at) > HEIR_SECONDS + late:
            cluster.watch.broken(f"run {run} died and nobody took over")


def expect_no_idleness(cluster: Cluster, since: float) -> None:
    """In calm, a refresh that is overdue is tried: also where the message for it was lost."""
    interval = cluster.settings.refresh_interval.total_seconds() + cluster.watch.lateness
    in_time = answer_within(cluster.settings.lock_lease).total_seconds() + 4 * LOOK_SECONDS
    idle = cluster.world.now - max(cluster.watch.started_at, cluster.watch.refreshed_at or 0.0)
    if cluster.world.now - since > in_time and idle > interval + in_time:
        cluster.watch.broken(f"nobody has tried to refresh for {idle:.0f} s")


def is_well(cluster: Cluster, since: float) -> bool:
    """Whether the prices were refreshed since a time, every beat has looked again and no message is left."""
    refreshed_at = cluster.watch.refreshed_at or 0.0
    settled = cluster.world.now - refreshed_at > 2 * LOOK_SECONDS
    return refreshed_at > since and settled and len(cluster.queue) == 0


def expect_all_well(cluster: Cluster) -> None:
    """Everything has come right: prices are refreshed when due, the queue is empty, the snapshot is whole."""
    settings, refreshed_at = cluster.settings, cluster.watch.refreshed_at
    age = cluster.world.now - (refreshed_at or 0.0)
    lease = settings.lock_lease.total_seconds()
    late = 2 * LOOK_SECONDS + 3 * lease + cluster.watch.lateness
    if age > settings.refresh_interval.total_seconds() + late:
        cluster.watch.broken(f"the prices are {age:.0f} s old in calm")
    if len(cluster.queue) > 2:
        cluster.watch.broken(f"{len(cluster.queue)} messages are left over")
    _expect_history(cluster)
    if age <= 2 * LOOK_SECONDS or cluster.server.is_down:
        return
    if cluster.clock.was_set and not _is_published(cluster):
        # By one that was stopped since before: its time is later, its run earlier. Beat's next look mends it.
        cluster.world.run(cluster.world.now + 2 * LOOK_SECONDS)
    if not _is_published(cluster):
        cluster.watch.broken("the published snapshot is not the committed catalogue")


def _is_published(cluster: Cluster) -> bool:
    published = cluster.server.peek(KEYS.snapshot.encode()) or {}
    shown_at = cluster.watch.shown_at or 0.0
    return abs(int(published.get(b"refreshed_us", 0)) / 1e6 - shown_at) <= 0.001


def _expect_history(cluster: Cluster) -> None:
    """Each revision stands once, by a later run than the one before, and each model has one price now."""
    one = cluster.database.raw.execute
    revisions = one("SELECT revision, run_id FROM revisions ORDER BY revision").fetchall()
    runs = [run for _revision, run in revisions]
    if [revision for revision, _run in revisions] != [*range(1, len(revisions) + 1)] or runs != sorted(
        set(runs)
    ):
        cluster.watch.broken(f"the revisions and their runs are {revisions}")
    priced = one("SELECT count(DISTINCT model_id) FROM dated_prices")
    if priced.fetchone() != one("SELECT count(*) FROM language_models").fetchone():
        cluster.watch.broken("a model has no price")
    backwards = one(
        "SELECT count(*) FROM dated_prices one JOIN dated_prices later"
        " ON later.model_id = one.model_id AND later.id > one.id"
        " AND (later.valid_from < one.valid_from OR later.revision_from <= one.revision_from)"
    )
    if backwards.fetchone() != (0,):
        cluster.watch.broken("a price began before the one that was known before it")
