"""The questions to the bitemporal tables, each made once: to make one takes longer than a short answer."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    true,
)

from prices.store.tables import (
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


@cache
def prices(*, dated: bool, of_one: bool, lateral: bool) -> Select[Any]:
    """Ask for the prices that a revision (`said_in`) says, with the attributes of another (`shown`).

    The last of each model, or with `dated` those in force `at` a time, with the end of each (`valid_to`) and
    the revision that said it first (`ended_in`); of all models, or the one `called` so. `lateral` where the
    database knows such joins: PostgreSQL reads the whole history otherwise.
    """
    said = model_attributes.c
    began = dated_prices.alias("began")
    until = [began.c.valid_from <= _AT] if dated else []
    last, is_last = _one(
        select(began)
        .where(began.c.model_id == language_models.c.id, began.c.revision_from <= _REVISION, *until)
        .order_by(began.c.valid_from.desc(), began.c.revision_from.desc())
        .correlate(language_models),
        "last",
        lateral=lateral,
    )
    begins = dated_prices.alias("begins")
    following, is_next = _one(
        select(begins)
        .where(
            begins.c.model_id == last.c.model_id,
            begins.c.valid_from > last.c.valid_from,
            begins.c.revision_from <= _REVISION,
        )
        .order_by(begins.c.valid_from, begins.c.revision_from)
        .correlate(last),
        "following",
        lateral=lateral,
    )
    ends = (following.c.valid_from, following.c.revision_from) if dated else (null(), null())
    query = (
        select(
            language_models.c.id,
            language_models.c.slug,
            said.attributes,
            _UNDESCRIBED,
            last.c.schedule,
            last.c.valid_from,
            ends[0].label("valid_to"),
            last.c.revision_from,
            ends[1].label("ended_in"),
        )
        .select_from(language_models)
        .join(last, is_last)
        .outerjoin(model_attributes, and_(said.model_id == language_models.c.id, _says(said, _SHOWN)))
        .where(last.c.schedule.isnot(None))
    )
    if dated:
        query = query.outerjoin(following, is_next)
    return query.where(_IS_CALLED) if of_one else query


def _one(query: Select[Any], name: str, *, lateral: bool) -> tuple[FromClause, ColumnElement[bool]]:
    """Give the first row that a correlated query finds as what to join, and on what."""
    if lateral:
        return query.limit(1).lateral(name), true()
    row = dated_prices.alias(name)
    found = query.with_only_columns(query.selected_columns.id).limit(1).scalar_subquery()
    return row, row.c.id == found


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
    """Ask for changes of some `kinds` after the cursor `since`, so many at the `most`.

    With each the time of its commit, and the number of the change of the same thing before (`previous`).
    """
    row = price_changes.c
    kinds: BindParameter[list[str]] = bindparam("kinds", expanding=True)
    query = (
        select(price_changes, language_models.c.slug, revisions.c.committed_at)
        .join(language_models, language_models.c.id == row.model_id)
        .join(revisions, revisions.c.revision == row.revision)
        .where(row.id > bindparam("since"), row.kind.in_(kinds))
        .order_by(row.id)
        .limit(bindparam("most"))
    )
    page = (query.where(_IS_CALLED) if of_one else query).subquery("page")
    previous = case((page.c.part.is_(None), _previous(page, None)), else_=_previous(page, page.c.part))
    return select(page, previous.label("previous")).order_by(page.c.id)


def _previous(page: Subquery, part: ColumnElement[str] | None) -> ScalarSelect[int]:
    """Give the change of the same part that came before: each of the two forms is one step in an index."""
    before = price_changes.alias("before").c
    query = select(before.id).where(
        before.model_id == page.c.model_id,
        before.part.is_(None) if part is None else before.part == part,
        before.id < page.c.id,
        before.revision < page.c.revision,
    )
    return query.order_by(before.id.desc()).limit(1).correlate(page).scalar_subquery()


UNDONE = select(price_changes.c.id, price_changes.c.kind, price_changes.c.before, price_changes.c.at).where(
    price_changes.c.id.in_(bindparam("numbers", expanding=True))
)
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
