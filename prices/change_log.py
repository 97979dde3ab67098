"""Writes the changes that a revision brings."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from prices import bulk
from prices.bulk import BulkRow
from prices.catalogue_diff import ModelDiff
from prices.changes import Change, ChangeKind
from prices.models import price_changes
from prices.revision import Revision


class _ChangeRow(BulkRow, frozen=True):
    revision: int
    model_id: int
    kind: ChangeKind
    part: str | None
    before: str | None
    after: str | None
    at: datetime


_INSERT = bulk.insert(price_changes, _ChangeRow)


def write_changes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what changed, and since when."""
    rows = (
        _ChangeRow(
            revision.number,
            ids[diff.slug],
            change.kind,
            change.part,
            change.before,
            change.after,
            _began(change, diff) or revision.at,
        )
        for diff in models
        for change in diff.changes
    )
    _INSERT.execute(connection, rows)


def _began(change: Change, diff: ModelDiff) -> datetime | None:
    """Give when a change that was held began, None where it was not: attributes never are."""
    return None if change.kind is ChangeKind.ATTRIBUTES else diff.since
