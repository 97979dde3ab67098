"""What a price was: by the time it was in force, by the revision that said so, or by both.

Bitemporal in the style of SQL:2011 (Kulkarni and Michels, "Temporal features in SQL:2011", SIGMOD Record
41(3), 2012): `at` asks for what was in force at a time by what we know today, `revision` for what that
revision said and always will, both together for what that revision said was in force at that time.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import groupby, zip_longest
from typing import Any

import msgspec
from sqlalchemy import Connection

from prices.catalogue.attributes import Attributes
from prices.catalogue.changes import REVERTED_WITHIN, Change, ChangeKind
from prices.catalogue.records import HeldPrice, PriceInterval, RecordedChange
from prices.history import statements
from prices.pricing.schedule import PriceSchedule


def prices(
    connection: Connection,
    revision: int,
    *,
    at: datetime | None = None,
    slug: str | None = None,
) -> Iterator[PriceInterval]:
    """Read what a revision says: the prices of its time, or those in force at another time.

    In upstream's order of that time. With `slug` the one model alone, or nothing where it was not listed.
    Each is made when it is taken: all of a large list are as much memory again.
    """
    of_one = slug is not None
    shown = revision if at is None else min(revision, revision_at(connection, at))
    asked = {"said_in": revision, "shown": shown, "at": at, "called": _called(slug)}
    lateral = connection.dialect.name == "postgresql"
    question = statements.prices(dated=at is not None, of_one=of_one, lateral=lateral)
    rows = connection.execute(question, asked).all()
    order = {} if of_one else _listing(connection, shown)
    held = {} if at else _held(connection, asked, of_one=of_one)
    return (
        PriceInterval(
            called,
            _attributes(called, attributes, document),
            PriceSchedule.from_json(schedule),
            valid_from,
            valid_to,
            max(said_in, ended_in or 0),
            held.get(row_id),
        )
        for row_id, called, attributes, document, schedule, valid_from, valid_to, said_in, ended_in in sorted(
            rows, key=lambda told: (order.get(told[0], len(order)), told[1])
        )
    )


def revision_at(connection: Connection, at: datetime) -> int:
    """Give the revision that was in force at a time, 0 before the first."""
    return connection.scalar(statements.REVISION_AT, {"at": at}) or 0


def intervals(connection: Connection, slug: str) -> list[PriceInterval]:
    """Read all that is known today of a model's prices, the earliest first; nothing for an unknown model."""
    told = connection.execute(statements.BEGINNINGS, {"called": _called(slug)})
    of_a_time = [list(words) for _began, words in groupby(told, key=lambda word: word.valid_from)]
    return [
        PriceInterval(
            slug,
            _attributes(slug, word.attributes, word.document),
            PriceSchedule.from_json(word.schedule),
            word.valid_from,
            following[0].valid_from if following else None,
            max(word.revision_from, following[0].revision_from) if following else word.revision_from,
        )
        for (*_, word), following in zip_longest(of_a_time, of_a_time[1:])
        if word.schedule
    ]


def changes(
    connection: Connection, *, since: int, limit: int, kinds: Collection[ChangeKind], slug: str | None = None
) -> list[RecordedChange]:
    """Read the changes of some kinds after the cursor `since`, in their order.

    A change's number is the cursor: commits come one after the other, so none ever appears behind it.
    """
    asked = {"since": since, "most": limit, "kinds": [str(kind) for kind in kinds], "called": _called(slug)}
    found = connection.execute(statements.changes(of_one=slug is not None), asked).all()
    numbers = [told.previous for told in found if told.previous]
    previous = {told.id: told for told in connection.execute(statements.UNDONE, {"numbers": numbers})}
    return [
        RecordedChange(
            told.id,
            told.slug,
            ChangeKind(told.kind),
            told.part,
            told.before,
            told.after,
            told.at,
            told.revision,
            _reverts(told, previous.get(told.previous)),
        )
        for told in found
    ]


def _reverts(told: Any, earlier: Any) -> int | None:
    """Name the change of the same thing before one, where it was of the last day and this one undoes it."""
    if earlier is None or told.committed_at - earlier.at >= REVERTED_WITHIN:
        return None
    change = Change(ChangeKind(told.kind), told.part, told.before, told.after)
    undone: int = earlier.id
    return undone if change.undoes(Change(ChangeKind(earlier.kind), told.part, earlier.before)) else None


def _attributes(slug: str, told: str | None, document: bytes) -> Attributes:
    return Attributes.of(slug, document) if told is None else Attributes.from_json(told)


def _listing(connection: Connection, revision: int) -> dict[int, int]:
    """Give the place of each model in upstream's list, by its row."""
    told = connection.scalar(statements.LISTING, {"shown": revision})
    listing = msgspec.json.decode(told, type=list[int]) if told else []
    return {model_id: place for place, model_id in enumerate(listing)}


def _held(connection: Connection, asked: dict[str, Any], *, of_one: bool) -> dict[int, HeldPrice]:
    return {
        told.model_id: HeldPrice(
            told.reason, PriceSchedule.from_json(told.schedule) if told.schedule else None, told.seen_at
        )
        for told in connection.execute(statements.held(of_one=of_one), asked)
    }


def _called(slug: str | None) -> str | None:
    """Give the id to ask for; no model has a NUL in its own, which PostgreSQL refuses in any text."""
    return None if slug is None or "\0" in slug else slug
