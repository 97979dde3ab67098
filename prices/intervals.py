"""Writes the prices and attributes that a revision knows.

Nothing is ever overwritten that a revision has said: an interval that turns out otherwise ends with the
revision before, and what we know now begins with this one.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, insert, select, update

from prices.catalogue_diff import ModelDiff
from prices.changes import ChangeKind
from prices.models import model_attributes, price_intervals
from prices.recording import Revision, batches, execute_many

_INSERT_INTERVAL, _INSERT_ATTRIBUTES = insert(price_intervals), insert(model_attributes)


def write_intervals(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model costs from when on; `ids` gives the row of each model by its slug."""
    row = price_intervals.c
    moved = (diff for diff in models if diff.before and (diff.reprices or diff.learns or not diff.after))
    for some in batches(moved):
        numbers = [ids[diff.slug] for diff in some]
        still_open = (row.model_id.in_(numbers), row.valid_to.is_(None), row.revision_to.is_(None))
        found = connection.execute(select(row.model_id, row.schedule, row.valid_from).where(*still_open))
        last = {told.model_id: told for told in found}
        connection.execute(update(price_intervals).where(*still_open).values(revision_to=revision.number))
        known = (_after(last[ids[diff.slug]], diff, revision) for diff in some)
        execute_many(connection, _INSERT_INTERVAL, chain.from_iterable(known))
    come = (
        _interval(revision, ids[diff.slug], diff.after.schedule.to_json(), revision.at)
        for diff in models
        if diff.after and not diff.before
    )
    execute_many(connection, _INSERT_INTERVAL, come)


def _after(last: Any, diff: ModelDiff, revision: Revision) -> Iterator[dict[str, Any]]:
    """Give what is known of a model's price in the place of its last interval."""
    since = last.valid_from if diff.learns else max(last.valid_from, diff.since or revision.at)
    if since > last.valid_from:
        yield _interval(revision, last.model_id, last.schedule, last.valid_from, since)
    if diff.after:
        yield _interval(revision, last.model_id, diff.after.schedule.to_json(), since)


def _interval(
    revision: Revision, model_id: int, schedule: str, valid_from: datetime, valid_to: datetime | None = None
) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "schedule": schedule,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "revision_from": revision.number,
    }


def write_attributes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model is, where that is new."""
    row = model_attributes.c
    said = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    for numbers in batches(said):
        connection.execute(
            update(model_attributes)
            .where(row.model_id.in_(numbers), row.revision_to.is_(None))
            .values(revision_to=revision.number)
        )
    rows = (
        {"model_id": model_id, "attributes": attributes.to_json(), "revision_from": revision.number}
        for model_id, attributes in said.items()
    )
    execute_many(connection, _INSERT_ATTRIBUTES, rows)


def _says_more(diff: ModelDiff) -> bool:
    return diff.before is None or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)
