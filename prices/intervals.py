"""Writes the prices and attributes that a revision knows.

Nothing is ever overwritten that a revision has said: an interval that turns out otherwise ends with the
revision before, and what we know now begins with this one.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, update

from prices import bulk
from prices.bulk import Bulk, BulkRow, batches
from prices.catalogue_diff import ModelDiff
from prices.changes import ChangeKind
from prices.models import model_attributes, price_intervals
from prices.revision import Revision


class _Interval(BulkRow, frozen=True):
    model_id: int
    schedule: str
    valid_from: datetime
    valid_to: datetime | None
    revision_from: int


class _Description(BulkRow, frozen=True):
    model_id: int
    attributes: str
    revision_from: int


class _End(BulkRow, frozen=True):
    model_id: int
    revision_to: int


_INSERT_INTERVAL = bulk.insert(price_intervals, _Interval)
_END_INTERVAL = Bulk(
    price_intervals,
    _End,
    lambda model_id, ended: (
        update(price_intervals)
        .where(
            price_intervals.c.model_id == model_id,
            price_intervals.c.valid_to.is_(None),
            price_intervals.c.revision_to.is_(None),
        )
        .values(revision_to=ended)
        .returning(price_intervals.c.model_id, price_intervals.c.schedule, price_intervals.c.valid_from)
    ),
)
_INSERT_DESCRIPTION = bulk.insert(model_attributes, _Description)
_END_DESCRIPTION = Bulk(
    model_attributes,
    _End,
    lambda model_id, ended: (
        update(model_attributes)
        .where(model_attributes.c.model_id == model_id, model_attributes.c.revision_to.is_(None))
        .values(revision_to=ended)
    ),
)


def write_intervals(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model costs from when on; `ids` gives the row of each model by its slug."""
    moved = (diff for diff in models if diff.was_listed and (diff.reprices or diff.learns or not diff.after))
    for some in batches(moved):
        ends = [_End(ids[diff.slug], revision.number) for diff in some]
        last = {told.model_id: told for told in _END_INTERVAL.returning(connection, ends)}
        known = (_after(last[ids[diff.slug]], diff, revision) for diff in some)
        _INSERT_INTERVAL.execute(connection, chain.from_iterable(known))
    come = (
        _Interval(ids[diff.slug], diff.after.schedule.to_json(), revision.at, None, revision.number)
        for diff in models
        if diff.after and not diff.was_listed
    )
    _INSERT_INTERVAL.execute(connection, come)


def _after(last: Any, diff: ModelDiff, revision: Revision) -> Iterator[_Interval]:
    """Give what is known of a model's price in the place of its last interval."""
    since = last.valid_from if diff.learns else max(last.valid_from, diff.since or revision.at)
    if since > last.valid_from:
        yield _Interval(last.model_id, last.schedule, last.valid_from, since, revision.number)
    if diff.after:
        yield _Interval(last.model_id, diff.after.schedule.to_json(), since, None, revision.number)


def write_attributes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model is, where that is new."""
    said = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    _END_DESCRIPTION.execute(connection, (_End(model_id, revision.number) for model_id in said))
    rows = (
        _Description(model_id, attributes.to_json(), revision.number) for model_id, attributes in said.items()
    )
    _INSERT_DESCRIPTION.execute(connection, rows)


def _says_more(diff: ModelDiff) -> bool:
    return not diff.was_listed or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)
