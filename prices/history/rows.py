"""The rows that a revision adds: what each model costs from when on, what it is, and what changed.

Nothing that a revision has said is ever overwritten: of the same time another one may say something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, select, update

from prices.catalogue.changes import ChangeKind
from prices.catalogue.differences import ModelDiff
from prices.store.bulk import batches, execute_each
from prices.store.tables import dated_prices, model_attributes, price_changes

_ADD_PRICE = insert(dated_prices)
_ADD_CHANGE = insert(price_changes)
_ADD_ATTRIBUTES = insert(model_attributes)
_END_ATTRIBUTES = (
    update(model_attributes)
    .where(model_attributes.c.model_id == bindparam("model"), model_attributes.c.revision_to.is_(None))
    .values(revision_to=bindparam("ended"))
)
_LAST_BEGAN = (
    select(dated_prices.c.model_id, func.max(dated_prices.c.valid_from))
    .where(dated_prices.c.model_id.in_(bindparam("models", expanding=True)))
    .group_by(dated_prices.c.model_id)
)


@dataclass(frozen=True, slots=True)
class Revision:
    """The revision that is being written: its number, the run that writes it, and as of when it holds."""

    number: int
    run_id: int
    at: datetime


def write_prices(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model costs from when on; `ids` gives the row of each model by its slug."""
    moved = [diff for diff in models if diff.reprices or diff.learns or not diff.after]
    began = _last_began(connection, [ids[diff.slug] for diff in moved if diff.learns or diff.since])
    rows = (
        {
            "model_id": ids[diff.slug],
            "schedule": diff.after.schedule.to_json() if diff.after else None,
            "valid_from": _since(diff, began.get(ids[diff.slug]), revision.at),
            "revision_from": revision.number,
        }
        for diff in moved
    )
    execute_each(connection, _ADD_PRICE, rows)


def _last_began(connection: Connection, model_ids: list[int]) -> dict[int, datetime]:
    """Give when the last price of each model began."""
    found = (connection.execute(_LAST_BEGAN, {"models": some}) for some in batches(model_ids))
    return {model_id: began for rows in found for model_id, began in rows}


def _since(diff: ModelDiff, last: datetime | None, now: datetime) -> datetime:
    """Give since when a price holds: what is only learned, since what was known of it held."""
    if last is None:
        return diff.since or now
    return last if diff.learns else max(last, diff.since or now)


def write_attributes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what each model is, where that is new."""
    new = {ids[diff.slug]: diff.after.attributes for diff in models if diff.after and _says_more(diff)}
    execute_each(connection, _END_ATTRIBUTES, ({"model": row, "ended": revision.number} for row in new))
    rows = (
        {"model_id": row, "attributes": attributes.to_json(), "revision_from": revision.number}
        for row, attributes in new.items()
    )
    execute_each(connection, _ADD_ATTRIBUTES, rows)


def _says_more(diff: ModelDiff) -> bool:
    return not diff.was_listed or any(change.kind is ChangeKind.ATTRIBUTES for change in diff.changes)


def write_changes(
    connection: Connection, revision: Revision, models: Sequence[ModelDiff], ids: dict[str, int]
) -> None:
    """Write what changed, and since when. Attributes are never held, so they change with the revision."""
    rows = (
        {
            "revision": revision.number,
            "model_id": ids[diff.slug],
            "kind": change.kind,
            "part": change.part,
            "before": change.before,
            "after": change.after,
            "at": (diff.since if change.kind is not ChangeKind.ATTRIBUTES else None) or revision.at,
        }
        for diff in models
        for change in diff.changes
    )
    execute_each(connection, _ADD_CHANGE, rows)
