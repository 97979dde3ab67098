"""Writes the changes that a revision brings."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from prices.catalogue.changes import ChangeKind
from prices.catalogue.differences import ModelDiff
from prices.history.revision import Revision
from prices.store import bulk
from prices.store.bulk import BulkRow
from prices.store.tables import price_changes


class _ChangeRow(BulkRow, frozen=True):
    model_id: int
    kind: ChangeKind
    part: str | None
    before: str | None
    after: str | None
    at: datetime | None


_INSERT = bulk.insert(price_changes, _ChangeRow, common=("revision", "at"))


def write_changes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what changed, and since when."""
    rows = (row for diff in models if diff.changes for row in _rows(diff, ids[diff.slug]))
    _INSERT.execute(connection, rows, common_revision=revision.number, common_at=revision.at)


def _rows(diff: ModelDiff, model_id: int) -> Iterator[_ChangeRow]:
    for change in diff.changes:
        since = None if change.kind is ChangeKind.ATTRIBUTES else diff.since  # attributes are never held
        yield _ChangeRow(model_id, change.kind, change.part, change.before, change.after, since)
