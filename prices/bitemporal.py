"""The questions to the bitemporal tables, each made once: to make one takes longer than a short answer."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
)

from prices.models import (
    dated_prices,
    language_models,
    model_attributes,
    price_changes,
    price_holds,
    revisions,
)

# A release that came before the table of attributes may have added models while the next one started: they
# are described by upstream's JSON of today until that says something else.
_UNDESCRIBED = case((model_attributes.c.attributes.is_(None), language_models.c.document)).label("document")

_AT: BindParameter[datetime] = bindparam("at")
_REVISION: BindParameter[int] = bindparam("said_in")
_SHOWN: BindParameter[int] = bindparam("shown")
_IS_CALLED = language_models.c.slug == bindparam("called")


def _says(row: Any, revision: BindParameter[int]) -> ColumnElement[bool]:
    """Whether a row was our knowledge in a revision."""
    return and_(row.revision_from <= revision, or_(row.revision_to.is_(None), row.revision_to > revision))


_FOLLOWING = dated_prices.alias("following")
_NEXT_ROWS = dated_prices.alias("next")
# What began next after a price: of several revisions' words on that, the first.
_NEXT = (
    select(_NEXT_ROWS.c.id)
    .where(
        _NEXT_ROWS.c.model_id == dated_prices.c.model_id,
        _NEXT_ROWS.c.valid_from > dated_prices.c.valid_from,
        _NEXT_ROWS.c.revision_from <= _REVISION,
    )
    .order_by(_NEXT_ROWS.c.valid_from, _NEXT_ROWS.c.revision_from)
    .limit(1)
    .correlate(dated_prices)
    .scalar_subquery()
)


@cache
def prices(*, dated: bool, of_one: bool) -> Select[Any]:
    """Ask for the prices that a revision (`said_in`) says, with the attributes of another (`shown`).

    The last of each model, or with `dated` those in force `at` a time, with the end of each (`valid_to`) and
    the revision that said it first (`ended_in`); of all models, or the one `called` so.
    """
    price, said = dated_prices.c, model_attributes.c
    following = _FOLLOWING.c
    valid_to, ended_in = (following.valid_from, following.revision_from) if dated else (null(), null())
    query = (
        select(
            language_models.c.id,
            language_models.c.slug,
            said.attributes,
            _UNDESCRIBED,
            price.schedule,
            price.valid_from,
            valid_to.label("valid_to"),
            price.revision_from,
            ended_in.label("ended_in"),
        )
        .select_from(language_models)
        .join(dated_prices, price.id == _last(dated=dated))
        .outerjoin(model_attributes, and_(said.model_id == language_models.c.id, _says(said, _SHOWN)))
        .where(price.schedule.isnot(None))
    )
    if dated:
        query = query.outerjoin(_FOLLOWING, following.id == _NEXT)
    return query.where(_IS_CALLED) if of_one else query


def _last(*, dated: bool) -> ScalarSelect[int]:
    """Give the price of a model that began last, as the revision says; with `dated`, until a time."""
    price = dated_prices.alias("last").c
    query = select(price.id).where(price.model_id == language_models.c.id, price.revision_from <= _REVISION)
    if dated:
        query = query.where(price.valid_from <= _AT)
    last = query.order_by(price.valid_from.desc(), price.revision_from.desc()).limit(1)
    return last.correlate(language_models).scalar_subquery()


@cache
def held(*, of_one: bool) -> Select[Any]:
    """Ask for what was held in a revision (`said_in`)."""
    row = price_holds.c
    query = select(row.model_id, row.reason, row.schedule, row.seen_at).where(_says(row, _REVISION))
    if of_one:
        query = query.join(language_models, language_models.c.id == row.model_id).where(_IS_CALLED)
    return query


_EARLIER, _BEFORE = price_changes.alias("earlier"), price_changes.alias("before")
# The change of the same thing that came before one.
_PREVIOUS = (
    select(_BEFORE.c.id)
    .where(
        _BEFORE.c.model_id == price_changes.c.model_id,
        _BEFORE.c.part.is_not_distinct_from(price_changes.c.part),
        _BEFORE.c.id < price_changes.c.id,
        _BEFORE.c.revision < price_changes.c.revision,
    )
    .order_by(_BEFORE.c.id.desc())
    .limit(1)
    .correlate(price_changes)
    .scalar_subquery()
)


@cache
def changes(*, of_one: bool) -> Select[Any]:
    """Ask for changes of some `kinds` after the cursor `since`, so many at the `most`.

    With each the one before of the same thing: `earlier_id`, `earlier_kind`, `earlier_before`, `earlier_at`.
    """
    row = price_changes.c
    kinds: BindParameter[list[str]] = bindparam("kinds", expanding=True)
    query = (
        select(
            price_changes,
            language_models.c.slug,
            *(_EARLIER.c[name].label(f"earlier_{name}") for name in ("id", "kind", "before", "at")),
        )
        .join(language_models, language_models.c.id == row.model_id)
        .outerjoin(_EARLIER, _EARLIER.c.id == _PREVIOUS)
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
BEGINNINGS = (
    select(
        model_attributes.c.attributes,
        _UNDESCRIBED,
        dated_prices.c.schedule,
        dated_prices.c.valid_from,
        dated_prices.c.revision_from,
    )
    .select_from(language_models)
    .join(dated_prices, dated_prices.c.model_id == language_models.c.id)
    .outerjoin(
        model_attributes,
        and_(
            model_attributes.c.model_id == dated_prices.c.model_id,
            model_attributes.c.revision_to.is_(None),
        ),
    )
    .where(_IS_CALLED)
    .order_by(dated_prices.c.valid_from, dated_prices.c.revision_from)
)
