"""Writes what a list made of the catalogue, as one revision: models, prices, attributes, changes, holds."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, insert, select, update

from prices.catalogue_diff import CatalogueDiff, Hold, ModelDiff
from prices.change_log import write_changes
from prices.intervals import write_attributes, write_intervals
from prices.models import language_models, price_holds, revisions
from prices.recording import Revision, batches, execute_many


def record(connection: Connection, revision: Revision, diff: CatalogueDiff) -> None:
    """Write a revision. All of it stands in the caller's transaction."""
    _write_models(connection, diff.models, revision.at)
    ids = _row_ids(connection, diff.models)
    connection.execute(
        insert(revisions).values(
            revision=revision.number,
            run_id=revision.run_id,
            committed_at=revision.at,
            changes=diff.changes,
            listing=_new_listing(connection),
        )
    )
    write_intervals(connection, revision, diff.models, ids)
    write_attributes(connection, revision, diff.models, ids)
    write_changes(connection, revision, diff.models, ids)
    _resolve_holds(connection, revision, diff.confirmed, "confirmed")
    _resolve_holds(connection, revision, diff.withdrawn, "withdrawn")
    _write_holds(connection, revision, diff.held)


def _write_models(connection: Connection, models: Sequence[ModelDiff], now: datetime) -> None:
    row = language_models.c
    after = [diff.after for diff in models if diff.after]
    come = (
        {
            "slug": model.slug,
            "position": model.position,
            "document": model.document.decode(),
            "first_seen_at": now,
        }
        for model in after
        if model.row_id is None
    )
    execute_many(connection, insert(language_models), come)
    this = update(language_models).where(row.id == bindparam("row"))
    stay = (
        {"row": model.row_id, "new_position": model.position, "new_document": model.document.decode()}
        for model in after
        if model.row_id is not None
    )
    place: BindParameter[int] = bindparam("new_position")
    document: BindParameter[str] = bindparam("new_document")
    execute_many(connection, this.values(position=place, document=document, removed_at=None), stay)
    gone = (
        {"row": diff.before.row_id, "since": diff.since or now}
        for diff in models
        if diff.before and not diff.after
    )
    execute_many(connection, this.values(removed_at=bindparam("since")), gone)


def _row_ids(connection: Connection, models: Sequence[ModelDiff]) -> dict[str, int]:
    """Give the row of each model that the diff speaks of, by slug."""
    row = language_models.c
    ids: dict[str, int] = {}
    for slugs in batches(diff.slug for diff in models):
        found = connection.execute(select(row.slug, row.id).where(row.slug.in_(slugs)))
        ids |= {told.slug: told.id for told in found}
    return ids


def _new_listing(connection: Connection) -> str | None:
    """Give upstream's order of the models, None where it is that of the revision before."""
    row, told = language_models.c, revisions.c
    order = select(row.id).where(row.removed_at.is_(None)).order_by(row.position, row.slug)
    listing = msgspec.json.encode(connection.scalars(order).all()).decode()
    last = connection.scalar(
        select(told.listing).where(told.listing.isnot(None)).order_by(told.revision.desc()).limit(1)
    )
    return None if listing == last else listing


def _resolve_holds(
    connection: Connection, revision: Revision, holds: Sequence[Hold], resolution: str
) -> None:
    row = price_holds.c
    for numbers in batches(hold.model_id for hold in holds):
        connection.execute(
            update(price_holds)
            .where(row.model_id.in_(numbers), row.revision_to.is_(None))
            .values(revision_to=revision.number, resolution=resolution)
        )


def _write_holds(connection: Connection, revision: Revision, holds: Sequence[Hold]) -> None:
    rows = [
        {
            "model_id": hold.model_id,
            "reason": hold.reason,
            "schedule": hold.schedule.to_json() if hold.schedule else None,
            "seen_at": hold.seen_at,
            "revision_from": revision.number,
        }
        for hold in holds
    ]
    execute_many(connection, insert(price_holds), rows)
