"""All that a refresh may change, as it stands, and what must hold of it at every moment."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, select

from prices.published.bodies import Publication
from prices.published.make import make_publication
from prices.published.redis_copy import read_publication
from prices.services import Services
from prices.store.database import reading
from prices.store.tables import catalogue, dated_prices, language_models, refresh_runs, revisions

TABLES = (catalogue, dated_prices, language_models, revisions)


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
        published = read_publication(services.redis, services.keys)
        assert published is not None
        return cls(rows, published[0].content, published[1])


def assert_consistent(services: Services) -> None:
    """Assert that what is published is what is stored, and that the history is whole."""
    published = read_publication(services.redis, services.keys)
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
        select(dated_prices).order_by(dated_prices.c.model_id, dated_prices.c.id)
    ).all()
    assert {row.revision_from for row in known} <= set(numbers)
    for one, following in pairwise(known):
        if one.model_id == following.model_id:
            assert one.valid_from <= following.valid_from
            assert one.revision_from < following.revision_from
            assert one.schedule != following.schedule


def first_slug(services: Services) -> str:
    """The model that upstream lists first."""
    with reading(services.engine) as connection:
        query = select(language_models.c.slug).where(language_models.c.removed_at.is_(None))
        return str(connection.scalars(query.order_by(language_models.c.position)).first())


def schedules_ever(services: Services, slug: str) -> list[str]:
    """Every schedule that a model ever had."""
    query = (
        select(dated_prices.c.schedule)
        .join_from(dated_prices, language_models, dated_prices.c.model_id == language_models.c.id)
        .where(language_models.c.slug == slug, dated_prices.c.schedule.isnot(None))
        .order_by(dated_prices.c.id)
    )
    with reading(services.engine) as connection:
        return list(connection.scalars(query))
