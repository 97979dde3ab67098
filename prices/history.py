"""What a price was: by the time it was in force, by the revision that said so, or by both.

Bitemporal in the style of SQL:2011 (Kulkarni and Michels, "Temporal features in SQL:2011", SIGMOD Record
41(3), 2012): `at` asks for what was in force at a time by what we know today, `revision` for what that
revision said and always will, both together for what that revision said was in force at that time.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, false, func, or_, select

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
    shown = revision if at is None else min(revision, revision_at(connection, at))
    row, said = price_intervals.c, model_attributes.c
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
        .outerjoin(model_attributes, and_(said.model_id == row.model_id, _says(said, shown)))
        .where(_says(row, revision), *_in_force(row, at))
    )
    if slug is not None:
        query = query.where(_is_called(slug))
    rows = connection.execute(query).all()
    order = _listing(connection, shown) if slug is None else {}
    held = _held(connection, revision, slug) if at is None else {}
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
    row = revisions.c
    return connection.scalar(select(func.max(row.revision)).where(row.committed_at <= at)) or 0


def intervals(connection: Connection, slug: str) -> list[KnownPrice]:
    """Read all that is known today of a model's prices, the earliest first; nothing for an unknown model."""
    row, said = price_intervals.c, model_attributes.c
    query = (
        select(said.attributes, _UNDESCRIBED, row.schedule, row.valid_from, row.valid_to, row.revision_from)
        .select_from(language_models)
        .join(price_intervals, row.model_id == language_models.c.id)
        .outerjoin(model_attributes, and_(said.model_id == row.model_id, said.revision_to.is_(None)))
        .where(_is_called(slug), row.revision_to.is_(None))
        .order_by(row.valid_from)
    )
    return [
        KnownPrice(
            slug,
            _attributes(slug, told.attributes, told.document),
            PriceSchedule.from_json(told.schedule),
            told.valid_from,
            told.valid_to,
            told.revision_from,
        )
        for told in connection.execute(query)
    ]


def changes(
    connection: Connection, *, since: int, limit: int, kinds: Collection[ChangeKind], slug: str | None = None
) -> list[KnownChange]:
    """Read the changes of some kinds after the cursor `since`, in their order.

    A change's number is the cursor: commits come one after the other, so none ever appears behind it.
    """
    row = price_changes.c
    query = (
        select(price_changes, language_models.c.slug)
        .join(language_models, language_models.c.id == row.model_id)
        .where(row.id > since, row.kind.in_([str(kind) for kind in kinds]))
        .order_by(row.id)
        .limit(limit)
    )
    if slug is not None:
        query = query.where(_is_called(slug))
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
        for told in connection.execute(query)
    ]


def _is_called(slug: str) -> ColumnElement[bool]:
    """Whether a model has this id; none has a NUL in it, which PostgreSQL refuses in any text."""
    return false() if "\0" in slug else language_models.c.slug == slug


def _attributes(slug: str, told: str | None, document: str) -> Attributes:
    return Attributes.of(slug, document.encode()) if told is None else Attributes.from_json(told)


def _says(row: Any, revision: int) -> ColumnElement[bool]:
    """Whether a row was our knowledge in a revision."""
    return and_(row.revision_from <= revision, or_(row.revision_to.is_(None), row.revision_to > revision))


def _in_force(row: Any, at: datetime | None) -> tuple[ColumnElement[bool], ...]:
    if at is None:
        return (row.valid_to.is_(None),)
    return row.valid_from <= at, or_(row.valid_to.is_(None), row.valid_to > at)


def _listing(connection: Connection, revision: int) -> dict[int, int]:
    """Give the place of each model in upstream's list, by its row."""
    row = revisions.c
    told = connection.scalar(
        select(row.listing)
        .where(row.revision <= revision, row.listing.isnot(None))
        .order_by(row.revision.desc())
        .limit(1)
    )
    listing = msgspec.json.decode(told, type=list[int]) if told else []
    return {model_id: place for place, model_id in enumerate(listing)}


def _held(connection: Connection, revision: int, slug: str | None) -> dict[int, HeldPrice]:
    row = price_holds.c
    query = select(row.model_id, row.reason, row.schedule, row.seen_at).where(_says(row, revision))
    if slug is not None:
        query = query.join(language_models, language_models.c.id == row.model_id).where(_is_called(slug))
    return {
        told.model_id: HeldPrice(
            told.reason, PriceSchedule.from_json(told.schedule) if told.schedule else None, told.seen_at
        )
        for told in connection.execute(query)
    }
