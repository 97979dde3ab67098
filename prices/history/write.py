"""Writes what a list made of the catalogue, as one revision: models, prices, attributes, changes, holds."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, delete, insert, select, update

from prices.catalogue.differences import CatalogueDiff, Hold, ModelDiff, Newcomer
from prices.history.rows import Revision, write_attributes, write_changes, write_prices
from prices.store.bulk import batches, execute_each
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


_HOLD = insert(price_holds)
_RESOLVE_HOLD = (
    update(price_holds)
    .where(price_holds.c.model_id == bindparam("model"), price_holds.c.revision_to.is_(None))
    .values(revision_to=bindparam("ended"), resolution=bindparam("how"))
)
_HOLD_NEWCOMER = insert(held_newcomers)
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
    execute_each(connection, _HOLD_NEWCOMER, (asdict(newcomer) for newcomer in newcomers))


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
    rows = ({"model": hold.model_id, "ended": revision.number, "how": resolution} for hold in holds)
    execute_each(connection, _RESOLVE_HOLD, rows)


def _write_holds(connection: Connection, revision: Revision, holds: Sequence[Hold]) -> None:
    rows = (
        {
            "model_id": hold.model_id,
            "reason": hold.reason,
            "schedule": hold.schedule.to_json() if hold.schedule else None,
            "seen_at": hold.seen_at,
            "revision_from": revision.number,
        }
        for hold in holds
    )
    execute_each(connection, _HOLD, rows)
