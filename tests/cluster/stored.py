"""All that a refresh may change, as it stands, and what must hold of it at every moment."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, select

from prices.database import reading
from prices.models import catalogue, language_models, price_intervals, refresh_runs, revisions
from prices.publication import Publication, read_publication
from prices.publisher import make_publication
from prices.services import Services

TABLES = (catalogue, language_models, price_intervals, revisions)


@dataclass(frozen=True)
class Stored:
    """The catalogue with its history and what is published, to be compared with another moment."""

    rows: dict[str, list[tuple[Any, ...]]]
    content: str
    publication: Publication

    @classmethod
    def read(cls, services: Services) -> "Stored":
        """Read it all."""
        with reading(services.engine) as connection:
            rows = {
                table.name: [
                    tuple(row)
                    for row in connection.execute(select(table).order_by(*table.primary_key.columns))
                ]
                for table in TABLES
            }
        published = read_publication(services.redis)
        assert published is not None
        return cls(rows, published[0].content, published[1])


def assert_consistent(services: Services) -> None:
    """Assert that what is published is what is stored, and that the history is whole."""
    published = read_publication(services.redis)
    assert published == make_publication(services.engine, services.settings.markup)
    with reading(services.engine) as connection:
        assert_history_is_whole(connection)


def assert_history_is_whole(connection: Connection) -> None:
    """Assert that no two prices are in force at once, and that all come from runs that refreshed."""
    last = connection.scalar(select(catalogue.c.revision))
    origins = connection.execute(
        select(revisions.c.revision, refresh_runs.c.revision, refresh_runs.c.outcome)
        .join_from(revisions, refresh_runs, revisions.c.run_id == refresh_runs.c.id)
        .order_by(revisions.c.revision)
    )
    numbers = range(1, last + 1)
    assert [tuple(row) for row in origins] == [(number, number, "refreshed") for number in numbers]
    known = connection.execute(
        select(price_intervals)
        .where(price_intervals.c.revision_to.is_(None))
        .order_by(price_intervals.c.model_id, price_intervals.c.valid_from)
    ).all()
    assert {row.revision_from for row in known} <= set(numbers)
    for one, following in pairwise(known):
        if one.model_id == following.model_id:
            assert one.valid_to is not None
            assert one.valid_from < one.valid_to <= following.valid_from


def first_slug(services: Services) -> str:
    """The model that upstream lists first."""
    with reading(services.engine) as connection:
        query = select(language_models.c.slug).where(language_models.c.removed_at.is_(None))
        return str(connection.scalars(query.order_by(language_models.c.position)).first())


def schedules_ever(services: Services, slug: str) -> list[str]:
    """Every schedule that a model ever had."""
    query = (
        select(price_intervals.c.schedule)
        .join_from(price_intervals, language_models, price_intervals.c.model_id == language_models.c.id)
        .where(language_models.c.slug == slug)
        .order_by(price_intervals.c.id)
    )
    with reading(services.engine) as connection:
        return list(connection.scalars(query))
