"""Writes the changes that a revision brings."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from prices.catalogue_diff import ModelDiff
from prices.changes import Change, ChangeKind
from prices.models import price_changes
from prices.recording import Revision, batches, execute_many

REVERTED_WITHIN = timedelta(hours=24)
"""A change that takes back one of the last so many hours names it."""

_INSERT = insert(price_changes)
_NEWEST = (
    select(func.max(price_changes.c.id))
    .where(
        price_changes.c.model_id.in_(bindparam("models", expanding=True)),
        price_changes.c.at > bindparam("since"),
    )
    .group_by(price_changes.c.model_id, price_changes.c.part)
)
_RECENT = select(price_changes).where(price_changes.c.id.in_(_NEWEST))


def write_changes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what changed since when, and which change of late each takes back."""
    for some in batches(diff for diff in models if diff.changes):
        recent = _recent_changes(connection, revision, [ids[diff.slug] for diff in some])
        rows = (
            {
                "revision": revision.number,
                "model_id": ids[diff.slug],
                "kind": str(change.kind),
                "part": change.part,
                "before": change.before,
                "after": change.after,
                "at": _began(change, diff) or revision.at,
                "reverts": _reverted(change, recent.get((ids[diff.slug], change.part))),
            }
            for diff in some
            for change in diff.changes
        )
        execute_many(connection, _INSERT, rows)


def _began(change: Change, diff: ModelDiff) -> datetime | None:
    """Give when a change that was held began, None where it was not: attributes never are."""
    return None if change.kind is ChangeKind.ATTRIBUTES else diff.since


def _recent_changes(
    connection: Connection, revision: Revision, model_ids: list[int]
) -> dict[tuple[int, str | None], Row[Any]]:
    """Give the newest change of each part of each model, of the last day."""
    asked = {"models": model_ids, "since": revision.at - REVERTED_WITHIN}
    return {(told.model_id, told.part): told for told in connection.execute(_RECENT, asked)}


def _reverted(change: Change, last: Row[Any] | None) -> int | None:
    """Give the last change of the same part, if this one undoes it."""
    if last is None:
        return None
    earlier = Change(ChangeKind(last.kind), last.part, last.before, last.after)
    return last.id if change.undoes(earlier) else None
