"""Writes what a revision knows: what each model costs from when on, and what it is.

Nothing that a revision has said is ever overwritten: of the same time another one may say something else.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from prices.catalogue.changes import ChangeKind
from prices.catalogue.differences import ModelDiff
from prices.history.revision import Revision
from prices.store import bulk
from prices.store.bulk import Bulk, BulkRow, batches
from prices.store.tables import dated_prices, model_attributes


class _Price(BulkRow, frozen=True):
    model_id: int
    schedule: str | None
    valid_from: datetime | None


class _Description(BulkRow, frozen=True):
    model_id: int
    attributes: str


class _End(BulkRow, frozen=True):
    model_id: int
    revision_to: int


_INSERT_PRICE = bulk.insert(dated_prices, _Price, common=("valid_from", "revision_from"))
_LAST_BEGAN = (
    select(dated_prices.c.model_id, func.max(dated_prices.c.valid_from))
    .where(dated_prices.c.model_id.in_(bindparam("models", expanding=True)))
    .group_by(dated_prices.c.model_id)
)
_INSERT_DESCRIPTION = bulk.insert(model_attributes, _Description, common=("revision_from",))
_END_DESCRIPTION = Bulk(
    model_attributes,
    _End,
    lambda model_id, ended: (
        update(model_attributes)
        .where(model_attributes.c.model_id == model_id, model_attributes.c.revision_to.is_(None))
        .values(revision_to=ended)
    ),
)


def write_prices(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model costs from when on; `ids` gives the row of each model by its slug."""
    moved = [diff for diff in models if diff.reprices or diff.learns or not diff.after]
    began = _last_began(connection, [ids[diff.slug] for diff in moved if diff.learns or diff.since])
    rows = (
        _Price(
            ids[diff.slug],
            diff.after.schedule.to_json() if diff.after else None,
            _since(diff, began.get(ids[diff.slug]), revision.at),
        )
        for diff in moved
    )
    _INSERT_PRICE.execute(
        connection, rows, common_valid_from=revision.at, common_revision_from=revision.number
    )


def _last_began(connection: Connection, model_ids: list[int]) -> dict[int, datetime]:
    """Give when the last price of each model began."""
    found = (connection.execute(_LAST_BEGAN, {"models": some}) for some in batches(model_ids))
    return {model_id: began for rows in found for model_id, began in rows}


def _since(diff: ModelDiff, last: datetime | None, now: datetime) -> datetime | None:
    """Give since when a price holds, None for now: what is only learned, since what was known of it held."""
    if last is None:
        return diff.since
    return last if diff.learns else max(last, diff.since or now)


def write_attributes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model is, where that is new."""
    said = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    _END_DESCRIPTION.execute(connection, (_End(model_id, revision.number) for model_id in said))
    rows = (_Description(model_id, attributes.to_json()) for model_id, attributes in said.items())
    _INSERT_DESCRIPTION.execute(connection, rows, common_revision_from=revision.number)


def _says_more(diff: ModelDiff) -> bool:
    return not diff.was_listed or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)
