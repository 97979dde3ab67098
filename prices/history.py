"""What a price was: by the time it was in force, by the revision that said so, or by both.

Bitemporal in the style of SQL:2011 (Kulkarni and Michels, "Temporal features in SQL:2011", SIGMOD Record
41(3), 2012): `at` asks for what was in force at a time by what we know today, `revision` for what that
revision said and always will, both together for what that revision said was in force at that time.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)

from prices.attributes import Attributes
from prices.changes import ChangeKind
from prices.known import HeldPrice, KnownChange, KnownPrice
from prices.models import (
    language_models,
    model_attributes,
    price_changes,
    price_holds,
    price_intervals,
    revisions,
)
from prices.schedule import PriceSchedule

# A release that came before the table of attributes may still add models while this one starts: what it
# wrote is described by upstream's JSON of today.
_UNDESCRIBED = case((model_attributes.c.attributes.is_(None), language_models.c.document)).label("document")


# Each question is made once: to make one takes longer than to answer it for one model.
_AT: BindParameter[datetime] = bindparam("at")
_REVISION: BindParameter[int] = bindparam("said_in")
_SHOWN: BindParameter[int] = bindparam("shown")
_IS_CALLED = language_models.c.slug == bindparam("called")


def _says(row: Any, revision: BindParameter[int]) -> ColumnElement[bool]:
    """Whether a row was our knowledge in a revision."""
    return and_(row.revision_from <= revision, or_(row.revision_to.is_(None), row.revision_to > revision))


@cache
def _prices(*, dated: bool, of_one: bool) -> Select[Any]:
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
def _held(*, of_one: bool) -> Select[Any]:
    row = price_holds.c
    query = select(row.model_id, row.reason, row.schedule, row.seen_at).where(_says(row, _REVISION))
    if of_one:
        query = query.join(language_models, language_models.c.id == row.model_id).where(_IS_CALLED)
    return query


@cache
def _changes(*, of_one: bool) -> Select[Any]:
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


_REVISION_AT = select(func.max(revisions.c.revision)).where(revisions.c.committed_at <= _AT)
_LISTING = (
    select(revisions.c.listing)
    .where(revisions.c.revision <= _SHOWN, revisions.c.listing.isnot(None))
    .order_by(revisions.c.revision.desc())
    .limit(1)
)
_INTERVALS = (
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


def _called(slug: str | None) -> str | None:
    """Give the id to ask for; no model has a NUL in its own, which PostgreSQL refuses in any text."""
    return None if slug is None or "\0" in slug else slug


def prices(
    connection: Connection,
    revision: int,
    *,
    at: datetime | None = None,
    slug: str | None = None,
) -> list[KnownPrice]:
    """Read what a revision says: the prices of its time, or those in force at another time.

    In upstream's order of that time. With `slug` the one model alone, or nothing where it was not listed.
    """
    of_one = slug is not None
    shown = revision if at is None else min(revision, revision_at(connection, at))
    asked = {"said_in": revision, "shown": shown, "at": at, "called": _called(slug)}
    rows = connection.execute(_prices(dated=at is not None, of_one=of_one), asked).all()
    order = {} if of_one else _listing(connection, shown)
    held = (
        {told.model_id: _held_price(told) for told in connection.execute(_held(of_one=of_one), asked)}
        if at is None
        else {}
    )
    return [
        KnownPrice(
            told.slug,
            _attributes(told.slug, told.attributes, told.document),
            PriceSchedule.from_json(told.schedule),
            told.valid_from,
            told.valid_to,
            told.revision_from,
            held.get(told.id),
        )
        for told in sorted(rows, key=lambda told: (order.get(told.id, len(order)), told.slug))
    ]


def revision_at(connection: Connection, at: datetime) -> int:
    """Give the revision that was in force at a time, 0 before the first."""
    return connection.scalar(_REVISION_AT, {"at": at}) or 0


def intervals(connection: Connection, slug: str) -> list[KnownPrice]:
    """Read all that is known today of a model's prices, the earliest first; nothing for an unknown model."""
    return [
        KnownPrice(
            slug,
            _attributes(slug, told.attributes, told.document),
            PriceSchedule.from_json(told.schedule),
            told.valid_from,
            told.valid_to,
            told.revision_from,
        )
        for told in connection.execute(_INTERVALS, {"called": _called(slug)})
    ]


def changes(
    connection: Connection, *, since: int, limit: int, kinds: Collection[ChangeKind], slug: str | None = None
) -> list[KnownChange]:
    """Read the changes of some kinds after the cursor `since`, in their order.

    A change's number is the cursor: commits come one after the other, so none ever appears behind it.
    """
    asked = {"since": since, "most": limit, "kinds": [str(kind) for kind in kinds], "called": _called(slug)}
    return [
        KnownChange(
            told.id,
            told.slug,
            ChangeKind(told.kind),
            told.part,
            told.before,
            told.after,
            told.at,
            told.revision,
            told.reverts,
        )
        for told in connection.execute(_changes(of_one=slug is not None), asked)
    ]


def _attributes(slug: str, told: str | None, document: str) -> Attributes:
    return Attributes.of(slug, document.encode()) if told is None else Attributes.from_json(told)


def _listing(connection: Connection, revision: int) -> dict[int, int]:
    """Give the place of each model in upstream's list, by its row."""
    told = connection.scalar(_LISTING, {"shown": revision})
    listing = msgspec.json.decode(told, type=list[int]) if told else []
    return {model_id: place for place, model_id in enumerate(listing)}


def _held_price(told: Row[Any]) -> HeldPrice:
    schedule = PriceSchedule.from_json(told.schedule) if told.schedule else None
    return HeldPrice(told.reason, schedule, told.seen_at)
