"""Writes the prices and attributes that a revision knows.

Nothing is ever overwritten that a revision has said: an interval that turns out otherwise ends with the
revision before, and what we know now begins with this one.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from prices.catalogue_diff import ModelDiff
from prices.changes import ChangeKind
from prices.models import model_attributes, price_intervals
from prices.recording import Revision, batches, execute_many

_INSERT_INTERVAL, _INSERT_ATTRIBUTES = insert(price_intervals), insert(model_attributes)
_STILL_OPEN = and_(
    price_intervals.c.model_id.in_(bindparam("models", expanding=True)),
    price_intervals.c.valid_to.is_(None),
    price_intervals.c.revision_to.is_(None),
)
_LAST = select(price_intervals.c.model_id, price_intervals.c.schedule, price_intervals.c.valid_from).where(
    _STILL_OPEN
)
_END_INTERVALS = update(price_intervals).where(_STILL_OPEN).values(revision_to=bindparam("ended"))
_END_ATTRIBUTES = (
    update(model_attributes)
    .where(
        model_attributes.c.model_id.in_(bindparam("models", expanding=True)),
        model_attributes.c.revision_to.is_(None),
    )
    .values(revision_to=bindparam("ended"))
)


def write_intervals(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model costs from when on; `ids` gives the row of each model by its slug."""
    moved = (diff for diff in models if diff.was_listed and (diff.reprices or diff.learns or not diff.after))
    for some in batches(moved):
        these = {"models": [ids[diff.slug] for diff in some]}
        last = {told.model_id: told for told in connection.execute(_LAST, these)}
        connection.execute(_END_INTERVALS, {**these, "ended": revision.number})
        known = (_after(last[ids[diff.slug]], diff, revision) for diff in some)
        execute_many(connection, _INSERT_INTERVAL, chain.from_iterable(known))
    come = (
        _interval(revision, ids[diff.slug], diff.after.schedule.to_json(), revision.at)
        for diff in models
        if diff.after and not diff.was_listed
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
    said = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    for numbers in batches(said):
        connection.execute(_END_ATTRIBUTES, {"models": numbers, "ended": revision.number})
    rows = (
        {"model_id": model_id, "attributes": attributes.to_json(), "revision_from": revision.number}
        for model_id, attributes in said.items()
    )
    execute_many(connection, _INSERT_ATTRIBUTES, rows)


def _says_more(diff: ModelDiff) -> bool:
    return not diff.was_listed or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)
