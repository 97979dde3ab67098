"""Writes what a list made of the catalogue, as one revision: models, prices, attributes, changes, holds.

Nothing is ever overwritten that a revision has said: an interval that turns out otherwise ends with the
revision before, and what we know now begins with this one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, insert, select, update

from prices.catalogue_diff import CatalogueDiff, Hold, ModelDiff
from prices.changes import Change, ChangeKind
from prices.models import (
    language_models,
    model_attributes,
    price_changes,
    price_holds,
    price_intervals,
    revisions,
)

REVERTED_WITHIN = timedelta(hours=24)
"""A change that takes back one of the last so many hours names it."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The revision that is being written: its number, the run that writes it, and as of when it holds."""

    number: int
    run_id: int
    at: datetime


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
    _write_intervals(connection, revision, diff.models, ids)
    _write_attributes(connection, revision, diff.models, ids)
    _write_changes(connection, revision, diff.models, ids)
    _resolve_holds(connection, revision, diff.confirmed, "confirmed")
    _resolve_holds(connection, revision, diff.withdrawn, "withdrawn")
    _write_holds(connection, revision, diff.held)


def _write_models(connection: Connection, models: Sequence[ModelDiff], now: datetime) -> None:
    row = language_models.c
    come = [diff.after for diff in models if diff.after and diff.after.row_id is None]
    _insert(
        connection,
        language_models,
        [
            {
                "slug": model.slug,
                "position": model.position,
                "document": model.document.decode(),
                "first_seen_at": now,
            }
            for model in come
        ],
    )
    stay = [diff.after for diff in models if diff.after and diff.after.row_id is not None]
    if stay:
        connection.execute(
            update(language_models)
            .where(row.id == bindparam("row"))
            .values(position=bindparam("new_position"), document=bindparam("new_document"), removed_at=None),
            [
                {"row": model.row_id, "new_position": model.position, "new_document": model.document.decode()}
                for model in stay
            ],
        )
    gone = [
        {"row": diff.before.row_id, "since": diff.since or now}
        for diff in models
        if diff.before and not diff.after
    ]
    if gone:
        connection.execute(
            update(language_models).where(row.id == bindparam("row")).values(removed_at=bindparam("since")),
            gone,
        )


def _row_ids(connection: Connection, models: Sequence[ModelDiff]) -> dict[str, int]:
    """Give the row of each model that the diff speaks of, by slug."""
    row = language_models.c
    ids: dict[str, int] = {}
    for slugs in _batches([diff.slug for diff in models]):
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


def _write_intervals(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    row = price_intervals.c
    moved = [diff for diff in models if diff.before and (diff.reprices or diff.learns or not diff.after)]
    ended: dict[int, Any] = {}
    for numbers in _batches([ids[diff.slug] for diff in moved]):
        still_open = (row.model_id.in_(numbers), row.valid_to.is_(None), row.revision_to.is_(None))
        found = connection.execute(select(row.model_id, row.schedule, row.valid_from).where(*still_open))
        ended |= {told.model_id: told for told in found}
        connection.execute(update(price_intervals).where(*still_open).values(revision_to=revision.number))
    known: list[tuple[int, str, datetime, datetime | None]] = []
    for diff in moved:
        last = ended[ids[diff.slug]]
        since = last.valid_from if diff.learns else max(last.valid_from, diff.since or revision.at)
        if since > last.valid_from:
            known.append((last.model_id, last.schedule, last.valid_from, since))
        if diff.after:
            known.append((last.model_id, diff.after.schedule.to_json(), since, None))
    come = [diff for diff in models if diff.after and not diff.before]
    known += [
        (ids[diff.slug], diff.after.schedule.to_json(), revision.at, None) for diff in come if diff.after
    ]
    names = ("model_id", "schedule", "valid_from", "valid_to")
    rows = [dict(zip(names, values, strict=True)) | {"revision_from": revision.number} for values in known]
    _insert(connection, price_intervals, rows)


def _write_attributes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    row = model_attributes.c
    said = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    for numbers in _batches(list(said)):
        connection.execute(
            update(model_attributes)
            .where(row.model_id.in_(numbers), row.revision_to.is_(None))
            .values(revision_to=revision.number)
        )
    rows = [
        {"model_id": model_id, "attributes": attributes.to_json(), "revision_from": revision.number}
        for model_id, attributes in said.items()
    ]
    _insert(connection, model_attributes, rows)


def _says_more(diff: ModelDiff) -> bool:
    return diff.before is None or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)


def _write_changes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    found = [
        (ids[diff.slug], change, diff.since or revision.at) for diff in models for change in diff.changes
    ]
    recent = _recent_changes(connection, revision, {model_id for model_id, _change, _at in found})
    rows = [
        {
            "revision": revision.number,
            "model_id": model_id,
            "kind": str(change.kind),
            "part": change.part,
            "before": change.before,
            "after": change.after,
            "at": at,
            "reverts": _reverted(change, recent.get(model_id, [])),
        }
        for model_id, change, at in found
    ]
    _insert(connection, price_changes, rows)


def _recent_changes(
    connection: Connection, revision: Revision, model_ids: set[int]
) -> dict[int, list[tuple[int, Change]]]:
    """Give the changes of the last day by model, the newest first."""
    row = price_changes.c
    recent: dict[int, list[tuple[int, Change]]] = {}
    for numbers in _batches(sorted(model_ids)):
        query = select(price_changes).where(row.model_id.in_(numbers), row.at > revision.at - REVERTED_WITHIN)
        for told in connection.execute(query.order_by(row.id.desc())):
            change = Change(ChangeKind(told.kind), told.part, told.before, told.after)
            recent.setdefault(told.model_id, []).append((told.id, change))
    return recent


def _reverted(change: Change, recent: Iterable[tuple[int, Change]]) -> int | None:
    """Give the last change of the same thing, if this one undoes it."""
    for number, earlier in recent:
        if change.is_of_the_same_thing_as(earlier):
            return number if change.undoes(earlier) else None
    return None


def _resolve_holds(
    connection: Connection, revision: Revision, holds: Sequence[Hold], resolution: str
) -> None:
    row = price_holds.c
    for numbers in _batches([hold.model_id for hold in holds]):
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
    _insert(connection, price_holds, rows)


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a list to what one statement may carry."""
    for start in range(0, len(values), 500):
        yield values[start : start + 500]
