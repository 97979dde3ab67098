"""Writes what a list made of the catalogue, as one revision: models, prices, attributes, changes, holds."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, delete, insert, select, update

from prices.catalogue.differences import CatalogueDiff, Hold, ModelDiff, Newcomer
from prices.history.change_log import write_changes
from prices.history.knowledge import write_attributes, write_prices
from prices.history.revision import Revision
from prices.store import bulk
from prices.store.bulk import Bulk, BulkRow, batches, execute_each
from prices.store.tables import held_newcomers, language_models, price_holds, revisions

_PLACE: BindParameter[int] = bindparam("new_position")
_DOCUMENT: BindParameter[bytes] = bindparam("new_document")
_THIS = update(language_models).where(language_models.c.id == bindparam("row"))
_ADD = insert(language_models)
_MOVE = _THIS.values(position=_PLACE, document=_DOCUMENT, removed_at=None)
_REMOVE = _THIS.values(removed_at=bindparam("since"))
_ROW_IDS = select(language_models.c.slug, language_models.c.id).where(
    language_models.c.slug.in_(bindparam("slugs", expanding=True))
)
_REVISE = insert(revisions)
_FORGET_NEWCOMERS = delete(held_newcomers)


class _HeldRow(BulkRow, frozen=True):
    model_id: int
    reason: str
    schedule: str | None
    seen_at: datetime
    revision_from: int


class _NewcomerRow(BulkRow, frozen=True):
    slug: str
    schedule: str
    seen_at: datetime


class _Resolved(BulkRow, frozen=True):
    model_id: int
    revision_to: int
    resolution: str


_INSERT_HOLD = bulk.insert(price_holds, _HeldRow)
_INSERT_NEWCOMER = bulk.insert(held_newcomers, _NewcomerRow)
_RESOLVE_HOLD = Bulk(
    price_holds,
    _Resolved,
    lambda model_id, ended, resolution: (
        update(price_holds)
        .where(price_holds.c.model_id == model_id, price_holds.c.revision_to.is_(None))
        .values(revision_to=ended, resolution=resolution)
    ),
)
_LISTED = (
    select(language_models.c.id)
    .where(language_models.c.removed_at.is_(None))
    .order_by(language_models.c.position, language_models.c.slug)
)
_LAST_LISTING = (
    select(revisions.c.listing)
    .where(revisions.c.listing.isnot(None))
    .order_by(revisions.c.revision.desc())
    .limit(1)
)


def record(connection: Connection, revision: Revision, diff: CatalogueDiff) -> None:
    """Write a revision. All of it stands in the caller's transaction."""
    _write_models(connection, diff.models, revision.at)
    ids = _row_ids(connection, diff.models)
    row = {
        "revision": revision.number,
        "run_id": revision.run_id,
        "committed_at": revision.at,
        "changes": diff.changes,
        "listing": _new_listing(connection) if diff.reorders else None,
    }
    connection.execute(_REVISE, row)
    write_prices(connection, revision, diff.models, ids)
    write_attributes(connection, revision, diff.models, ids)
    write_changes(connection, revision, diff.models, ids)
    _resolve_holds(connection, revision, diff.confirmed, "confirmed")
    _resolve_holds(connection, revision, diff.withdrawn, "withdrawn")
    _write_holds(connection, revision, diff.held)


def hold_newcomers(connection: Connection, newcomers: Sequence[Newcomer]) -> None:
    """Write which new models are held now, in the place of those before."""
    connection.execute(_FORGET_NEWCOMERS)
    rows = (_NewcomerRow(newcomer.slug, newcomer.schedule, newcomer.seen_at) for newcomer in newcomers)
    _INSERT_NEWCOMER.execute(connection, rows)


def _write_models(connection: Connection, models: Sequence[ModelDiff], now: datetime) -> None:
    after = [diff.after for diff in models if diff.after]
    come = (
        {
            "slug": model.slug,
            "position": model.position,
            "document": model.document,
            "first_seen_at": diff.since or now,
        }
        for diff in models
        if (model := diff.after) and model.row_id is None
    )
    execute_each(connection, _ADD, come)
    stay = (
        {"row": model.row_id, "new_position": model.position, "new_document": model.document}
        for model in after
        if model.row_id is not None
    )
    execute_each(connection, _MOVE, stay)
    gone = ({"row": diff.row_id, "since": diff.since or now} for diff in models if not diff.after)
    execute_each(connection, _REMOVE, gone)


def _row_ids(connection: Connection, models: Sequence[ModelDiff]) -> dict[str, int]:
    """Give the row of each model that the diff speaks of, by slug."""
    ids = {diff.slug: diff.row_id for diff in models if diff.row_id is not None}
    for slugs in batches(diff.slug for diff in models if diff.row_id is None):
        ids |= {told.slug: told.id for told in connection.execute(_ROW_IDS, {"slugs": slugs})}
    return ids


def _new_listing(connection: Connection) -> str | None:
    """Give upstream's order of the models, None where it is that of the revision before."""
    listing = msgspec.json.encode(connection.scalars(_LISTED).all()).decode()
    last = connection.scalar(_LAST_LISTING)
    return None if listing == last else listing


def _resolve_holds(
    connection: Connection, revision: Revision, holds: Sequence[Hold], resolution: str
) -> None:
    resolved = (_Resolved(hold.model_id, revision.number, resolution) for hold in holds)
    _RESOLVE_HOLD.execute(connection, resolved)


def _write_holds(connection: Connection, revision: Revision, holds: Sequence[Hold]) -> None:
    rows = (
        _HeldRow(
            hold.model_id,
            hold.reason,
            hold.schedule.to_json() if hold.schedule else None,
            hold.seen_at,
            revision.number,
        )
        for hold in holds
    )
    _INSERT_HOLD.execute(connection, rows)
