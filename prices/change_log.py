"""Writes the changes that a revision brings."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select

from prices import bulk
from prices.bulk import BulkRow, batches
from prices.catalogue_diff import ModelDiff
from prices.changes import Change, ChangeKind
from prices.models import price_changes
from prices.revision import Revision

_Recent = dict[tuple[int, str | None], tuple[int, Change]]
REVERTED_WITHIN = timedelta(hours=24)
"""A change that takes back one of the last so many hours names it."""

_NEWEST = (
    select(func.max(price_changes.c.id))
    .where(
        price_changes.c.model_id.in_(bindparam("models", expanding=True)),
        price_changes.c.at > bindparam("since"),
    )
    .group_by(price_changes.c.model_id, price_changes.c.part)
)
_RECENT = select(
    price_changes.c.id,
    price_changes.c.model_id,
    price_changes.c.kind,
    price_changes.c.part,
    price_changes.c.before,
).where(price_changes.c.id.in_(_NEWEST))


class _ChangeRow(BulkRow, frozen=True):
    revision: int
    model_id: int
    kind: ChangeKind
    part: str | None
    before: str | None
    after: str | None
    at: datetime
    reverts: int | None


_INSERT = bulk.insert(price_changes, _ChangeRow)


def write_changes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what changed since when, and which change of late each takes back."""
    for some in batches(diff for diff in models if diff.changes):
        recent = _recent_changes(connection, revision, [ids[diff.slug] for diff in some])
        rows = (
            _row(revision, ids[diff.slug], diff, change, recent) for diff in some for change in diff.changes
        )
        _INSERT.execute(connection, rows)


def _row(revision: Revision, model_id: int, diff: ModelDiff, change: Change, recent: _Recent) -> _ChangeRow:
    last, earlier = recent.get((model_id, change.part), (None, None))
    return _ChangeRow(
        revision.number,
        model_id,
        change.kind,
        change.part,
        change.before,
        change.after,
        _began(change, diff) or revision.at,
        last if earlier and change.undoes(earlier) else None,
    )


def _began(change: Change, diff: ModelDiff) -> datetime | None:
    """Give when a change that was held began, None where it was not: attributes never are."""
    return None if change.kind is ChangeKind.ATTRIBUTES else diff.since


def _recent_changes(connection: Connection, revision: Revision, model_ids: list[int]) -> _Recent:
    """Give the newest change of each part of each model, of the last day."""
    asked = {"models": model_ids, "since": revision.at - REVERTED_WITHIN}
    return {
        (model_id, part): (row_id, Change(ChangeKind(kind), part, before))
        for row_id, model_id, kind, part, before in connection.execute(_RECENT, asked)
    }
