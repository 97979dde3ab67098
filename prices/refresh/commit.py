"""The commit of a refresh: everything in one transaction that a superseded run cannot pass."""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, select, update

from prices.catalogue.diff import compare
from prices.catalogue.guards import Guards
from prices.coordination.runs import finish_run, pass_fence
from prices.errors import ClaimLostError
from prices.history.rows import Revision
from prices.history.write import hold_newcomers, record
from prices.runtime.logs import log
from prices.store import queries
from prices.store.database import writing
from prices.store.queries import CatalogueState
from prices.store.tables import catalogue, received_bodies, revisions
from prices.upstream.model_list import OpenRouterList
from prices.upstream.received import Receipt

_MOVE_CATALOGUE = update(catalogue)
_EMPTY_STASH = delete(received_bodies)
_LAST_COMMIT = select(revisions.c.committed_at).order_by(revisions.c.revision.desc()).limit(1)

MAX_NAMED_ROWS = 50
"""How many skipped rows a run names; the count is always whole."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a commit wrote."""

    revision: int
    models: int
    changes: int
    held: int
    skipped_rows: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit wrote, and what the catalogue is now."""

    counts: Counts
    state: CatalogueState


def commit(
    engine: Engine, run_id: int, listed: OpenRouterList, receipt: Receipt, guards: Guards | None
) -> Committed:
    """Compare upstream's list with the catalogue and write what changed, as the next revision.

    The prices are confirmed as of when the body was received, and valid from then on, though never from
    before the last revision. Without `guards` nothing is held. Raises ClaimLostError, with nothing written,
    when another run has taken over.
    """
    began = time.monotonic()
    with writing(engine) as connection:
        known = pass_fence(connection, run_id)
        at = receipt.at or known.now
        held = queries.holds(connection)
        stored = queries.listed_models(connection)
        vanished = queries.vanished_models(connection, {row.id for row in listed.models})
        waiting = queries.newcomers(connection)
        diff = compare(stored, vanished, listed, at, held=held, newcomers=waiting, guards=guards)
        moved = not diff.is_empty or msgspec.json.decode(known.envelope) != listed.envelope
        revision = known.revision + moved
        if moved:
            record(connection, Revision(revision, run_id, _not_before_the_last(connection, at)), diff)
        resolved = len(diff.confirmed) + len(diff.withdrawn)
        still_held = len(held) - resolved + len(diff.held) + len(diff.newcomers)
        if waiting or diff.newcomers:
            hold_newcomers(connection, diff.newcomers)
        if diff.doubt:
            log.warning("New models are held until upstream lists them again", reason=diff.doubt)
        counts = Counts(revision, len(listed.models), diff.changes, still_held, len(listed.skipped))
        left_out = [str(row) for row in listed.skipped[:MAX_NAMED_ROWS]]
        if listed.dropped.count:
            left_out.append(f"fields dropped as too large or unreadable: {listed.dropped.count}")
        skipped = msgspec.json.encode(left_out).decode()
        told = {
            "revision": revision,
            "envelope": msgspec.json.encode(listed.envelope).decode(),
            "hides_until": diff.hides_until,
        }
        return _close(connection, run_id, receipt, known.now, began, counts, skipped, **told)


def confirm(engine: Engine, run_id: int, receipt: Receipt) -> Committed:
    """Confirm the prices by a body that is known and holds nothing open: only the time moves.

    Raises ClaimLostError as `commit` does.
    """
    began = time.monotonic()
    with writing(engine) as connection:
        known = pass_fence(connection, run_id)
        last = queries.run(connection, known.refreshed_run_id)
        counts = Counts(known.revision, last.models, 0, 0, last.skipped_rows)
        return _close(connection, run_id, receipt, known.now, began, counts, last.skipped)


def _close(
    connection: Connection,
    run_id: int,
    receipt: Receipt,
    now: datetime,
    began: float,
    counts: Counts,
    skipped: str | None,
    **moved: Any,
) -> Committed:
    """Move the catalogue to a body, and end the run."""
    confirmed = {"refreshed_run_id": run_id, "refreshed_at": receipt.at or now, "body_digest": receipt.digest}
    connection.execute(_MOVE_CATALOGUE, {**confirmed, **moved})
    connection.execute(_EMPTY_STASH)
    closed = finish_run(
        connection,
        run_id,
        now,
        outcome="refreshed",
        reason=None,
        fetch_seconds=receipt.fetch_seconds,
        store_seconds=round(time.monotonic() - began, 3),
        received_bytes=receipt.size,
        skipped=skipped,
        **asdict(counts),
    )
    if not closed:
        raise ClaimLostError("claim lost: the run was closed by another")
    return Committed(counts, queries.catalogue_state(connection))


def _not_before_the_last(connection: Connection, at: datetime) -> datetime:
    """A revision is never valid from before the last one: a clock may have been set back."""
    last: datetime | None = connection.scalar(_LAST_COMMIT)
    return max(at, last or at)
