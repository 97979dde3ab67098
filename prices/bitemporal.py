"""The questions to the bitemporal tables, each made once: to make one takes longer than a short answer."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, case, func, or_, select

from prices.models import (
    language_models,
    model_attributes,
    price_changes,
    price_holds,
    price_intervals,
    revisions,
)

# A release that came before the table of attributes may still add models while this one starts: what it
# wrote is described by upstream's JSON of today.
_UNDESCRIBED = case((model_attributes.c.attributes.is_(None), language_models.c.document)).label("document")

_AT: BindParameter[datetime] = bindparam("at")
_REVISION: BindParameter[int] = bindparam("said_in")
_SHOWN: BindParameter[int] = bindparam("shown")
_IS_CALLED = language_models.c.slug == bindparam("called")


def _says(row: Any, revision: BindParameter[int]) -> ColumnElement[bool]:
    """Whether a row was our knowledge in a revision."""
    return and_(row.revision_from <= revision, or_(row.revision_to.is_(None), row.revision_to > revision))


@cache
def prices(*, dated: bool, of_one: bool) -> Select[Any]:
    """Ask for the prices that a revision (`said_in`) says, with the attributes of another (`shown`).

    Those that have no end, or with `dated` those in force `at` a time; of all models, or the one `called` so.
    """
    row, said = price_intervals.c, model_attributes.c
    in_force = and_(row.valid_from <= _AT, or_(row.valid_to.is_(None), row.valid_to > _AT))
    query = (
        select(
            language_models.c.id,
            language_models.c.slug,
            said.attributes,
            _UNDESCRIBED,
            row.schedule,
            row.valid_from,
            row.valid_to,
            row.revision_from,
        )
        .join(price_intervals, row.model_id == language_models.c.id)
        .outerjoin(model_attributes, and_(said.model_id == row.model_id, _says(said, _SHOWN)))
        .where(_says(row, _REVISION), in_force if dated else row.valid_to.is_(None))
    )
    return query.where(_IS_CALLED) if of_one else query


@cache
def held(*, of_one: bool) -> Select[Any]:
    """Ask for what was held in a revision (`said_in`)."""
    row = price_holds.c
    query = select(row.model_id, row.reason, row.schedule, row.seen_at).where(_says(row, _REVISION))
    if of_one:
        query = query.join(language_models, language_models.c.id == row.model_id).where(_IS_CALLED)
    return query


@cache
def changes(*, of_one: bool) -> Select[Any]:
    """Ask for changes of some `kinds` after the cursor `since`, so many at the `most`."""
    row = price_changes.c
    kinds: BindParameter[list[str]] = bindparam("kinds", expanding=True)
    query = (
        select(price_changes, language_models.c.slug)
        .join(language_models, language_models.c.id == row.model_id)
        .where(row.id > bindparam("since"), row.kind.in_(kinds))
        .order_by(row.id)
        .limit(bindparam("most"))
    )
    return query.where(_IS_CALLED) if of_one else query


REVISION_AT = select(func.max(revisions.c.revision)).where(revisions.c.committed_at <= _AT)
LISTING = (
    select(revisions.c.listing)
    .where(revisions.c.revision <= _SHOWN, revisions.c.listing.isnot(None))
    .order_by(revisions.c.revision.desc())
    .limit(1)
)
INTERVALS = (
    select(
        model_attributes.c.attributes,
        _UNDESCRIBED,
        price_intervals.c.schedule,
        price_intervals.c.valid_from,
        price_intervals.c.valid_to,
        price_intervals.c.revision_from,
    )
    .select_from(language_models)
    .join(price_intervals, price_intervals.c.model_id == language_models.c.id)
    .outerjoin(
        model_attributes,
        and_(
            model_attributes.c.model_id == price_intervals.c.model_id,
            model_attributes.c.revision_to.is_(None),
        ),
    )
    .where(_IS_CALLED, price_intervals.c.revision_to.is_(None))
    .order_by(price_intervals.c.valid_from)
)
