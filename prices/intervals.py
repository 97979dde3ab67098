"""Writes the prices and attributes that a revision knows.

Nothing is ever overwritten that a revision has said: an interval that turns out otherwise ends with the
revision before, and what we know now begins with this one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from prices.catalogue_diff import ModelDiff
from prices.changes import ChangeKind
from prices.models import model_attributes, price_intervals
from prices.recording import Revision, batches, insert_rows


def write_intervals(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model costs from when on; `ids` gives the row of each model by its slug."""
    row = price_intervals.c
    moved = [diff for diff in models if diff.before and (diff.reprices or diff.learns or not diff.after)]
    ended: dict[int, Any] = {}
    for numbers in batches([ids[diff.slug] for diff in moved]):
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
    insert_rows(connection, price_intervals, rows)


def write_attributes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model is, where that is new."""
    row = model_attributes.c
    said = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    for numbers in batches(list(said)):
        connection.execute(
            update(model_attributes)
            .where(row.model_id.in_(numbers), row.revision_to.is_(None))
            .values(revision_to=revision.number)
        )
    rows = [
        {"model_id": model_id, "attributes": attributes.to_json(), "revision_from": revision.number}
        for model_id, attributes in said.items()
    ]
    insert_rows(connection, model_attributes, rows)


def _says_more(diff: ModelDiff) -> bool:
    return diff.before is None or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)
