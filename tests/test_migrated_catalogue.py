"""A catalogue that the first release filled goes on under the second, and under both at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, Table, inspect, select, update

import deploy_migrations
from prices import history
from prices.changes import ChangeKind
from prices.database import make_engine, reading, writing
from prices.history import KnownPrice
from prices.models import catalogue, language_models, price_intervals, refresh_runs, revisions
from prices.queries import catalogue_state
from prices.settings import Settings
from tests.prices.ledger import fill
from tests.prices.lists import listed, model

DAY = timedelta(days=1)
BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
FIRST, SECOND = "20261121_01", "20261121_02"

ONE = model("a/one", prompt="0.000002", architecture={"input_modalities": ["text", "image"]})
TWO = model("b/two", name="Zwei", context_length=8192)
THREE = model("c/three", prompt="-1")
NEWEST = (TWO, ONE)
"""What upstream listed last; the first revision held ONE at half the price, and THREE."""


def migrate(engine: Engine, to: str) -> None:
    config = deploy_migrations._config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        way = (
            command.upgrade
            if to == SECOND or not inspect(connection).get_table_names()
            else command.downgrade
        )
        way(config, to)


def write(engine: Engine, table: Table, *rows: dict[str, Any]) -> None:
    with writing(engine) as connection:
        for row in rows:
            connection.execute(table.insert().values(**row))


def run(at: datetime) -> dict[str, Any]:
    told = {"state": "finished", "outcome": "refreshed", "worker": "w1", "token": "t", "attempt": 0}
    return {"forced": False, "degraded": False, "started_at": at, "heartbeat_at": at, **told}


def row_of(row: dict[str, Any], position: int, removed_at: datetime | None = None) -> dict[str, Any]:
    (read,) = listed(row).models
    written = {"slug": read.id, "position": position, "document": read.document.decode()}
    return {"first_seen_at": BEGIN, "removed_at": removed_at, **written}


def interval(
    row: dict[str, Any], model_id: int, valid: tuple[int, int | None], known: tuple[int, int | None]
) -> dict[str, Any]:
    (read,) = listed(row).models
    begins, ends = valid
    return {
        "model_id": model_id,
        "schedule": read.schedule.to_json(),
        "valid_from": BEGIN + begins * DAY,
        "valid_to": None if ends is None else BEGIN + ends * DAY,
        "revision_from": known[0],
        "revision_to": known[1],
    }


@pytest.fixture
def filled(empty_database_url: str) -> Iterator[Engine]:
    """A catalogue of the first release: two revisions, in which a price moved, one came and one went."""
    engine = make_engine(Settings.from_env({"DATABASE_URL": empty_database_url}).database_url)
    migrate(engine, FIRST)
    cheap = model("a/one", prompt="0.000001", architecture={"input_modalities": ["text", "image"]})
    write(engine, refresh_runs, run(BEGIN), run(BEGIN + DAY))
    write(
        engine,
        language_models,
        *(row_of(ONE, 1), row_of(THREE, 1, BEGIN + DAY), row_of(TWO, 0)),
    )
    write(
        engine,
        price_intervals,
        *(interval(cheap, 1, (0, None), (1, 2)), interval(cheap, 1, (0, 1), (2, None))),
        *(interval(ONE, 1, (1, None), (2, None)), interval(TWO, 3, (1, None), (2, None))),
        *(interval(THREE, 2, (0, None), (1, 2)), interval(THREE, 2, (0, 1), (2, None))),
    )
    for number, changes in ((1, 2), (2, 3)):
        at = BEGIN + (number - 1) * DAY
        write(
            engine, revisions, {"revision": number, "run_id": number, "committed_at": at, "changes": changes}
        )
    with writing(engine) as connection:
        connection.execute(
            update(catalogue).values(fence=2, revision=2, refreshed_run_id=2, refreshed_at=BEGIN + DAY)
        )
    yield engine
    engine.dispose()


def ask(engine: Engine, **other: Any) -> list[KnownPrice]:
    with reading(engine) as connection:
        revision = other.pop("revision", catalogue_state(connection).revision)
        return list(history.prices(connection, revision, **other))


def prompts(prices: list[KnownPrice]) -> list[tuple[str, str]]:
    return [(price.slug, price.schedule.base["prompt"].text) for price in prices]


def check_the_first_two_revisions(engine: Engine) -> None:
    assert prompts(ask(engine, revision=2)) == [("b/two", "0.000001"), ("a/one", "0.000002")]
    assert prompts(ask(engine, revision=1)) == [("a/one", "0.000001"), ("c/three", "-1")]
    assert prompts(ask(engine, at=BEGIN + DAY / 2)) == [("a/one", "0.000001"), ("c/three", "-1")]
    (then,) = ask(engine, revision=2, slug="b/two")
    assert (then.attributes.name, then.attributes.context_length) == ("Zwei", 8192)
    (gone,) = ask(engine, slug="c/three", at=BEGIN)
    assert (gone.attributes.name, gone.valid_to) == ("C/Three", BEGIN + DAY)


def test_all_that_the_first_release_knew_can_be_asked_for_in_upstreams_order(filled: Engine) -> None:
    migrate(filled, SECOND)
    check_the_first_two_revisions(filled)
    (one,) = ask(filled, slug="a/one")
    assert one.attributes.inputs == ("text", "image")


def test_history_goes_on_where_the_first_release_left_it(filled: Engine) -> None:
    migrate(filled, SECOND)
    dearer = model("a/one", prompt="0.000003", architecture={"input_modalities": ["text"]})
    counts = fill(filled, THREE, dearer, TWO, at=BEGIN + 2 * DAY)
    assert (counts.revision, counts.changes) == (3, 2)
    check_the_first_two_revisions(filled)
    assert [slug for slug, _prompt in prompts(ask(filled))] == ["c/three", "a/one", "b/two"]
    with reading(filled) as connection:
        told = history.changes(connection, since=0, limit=99, kinds=frozenset(ChangeKind))
    assert [(change.slug, str(change.kind), change.part) for change in told] == [
        ("c/three", "returned", None),
        ("a/one", "raised", "prompt"),
        ("a/one", "attributes", "inputs"),
    ]


def test_the_same_list_again_is_no_change_after_the_migration(filled: Engine) -> None:
    migrate(filled, SECOND)
    counts = fill(filled, *NEWEST, at=BEGIN + 2 * DAY)
    assert (counts.revision, counts.changes) == (2, 0)


def content(engine: Engine) -> list[list[Any]]:
    """What both releases keep."""
    known = (refresh_runs, language_models, price_intervals)
    with reading(engine) as connection:
        return [list(connection.execute(select(table).order_by(table.c.id))) for table in known]


def test_back_to_the_first_release_and_up_again_loses_no_price(filled: Engine) -> None:
    migrate(filled, SECOND)
    fill(filled, ONE, THREE, TWO, at=BEGIN + 2 * DAY)
    before = content(filled)
    migrate(filled, FIRST)
    with filled.connect() as connection:
        kept = set(inspect(connection).get_table_names())
    assert not kept & {"price_holds", "price_changes", "model_attributes"}
    assert content(filled) == before

    migrate(filled, SECOND)
    assert content(filled) == before
    assert [slug for slug, _prompt in prompts(ask(filled))] == ["a/one", "c/three", "b/two"]
    assert fill(filled, ONE, THREE, at=BEGIN + 3 * DAY).changes == 1


def test_what_the_first_release_still_commits_beside_the_second_is_served_and_goes_on(filled: Engine) -> None:
    migrate(filled, SECOND)
    new = model("d/new", name="Neu", prompt="0.5")
    at = BEGIN + 2 * DAY
    write(filled, refresh_runs, run(at))
    write(filled, language_models, row_of(new, 2))
    write(filled, price_intervals, interval(new, 4, (2, None), (3, None)))
    write(filled, revisions, {"revision": 3, "run_id": 3, "committed_at": at, "changes": 1})
    with writing(filled) as connection:
        connection.execute(update(catalogue).values(fence=3, revision=3, refreshed_run_id=3, refreshed_at=at))

    assert prompts(ask(filled)) == [("b/two", "0.000001"), ("a/one", "0.000002"), ("d/new", "0.5")]
    (told,) = ask(filled, slug="d/new")
    with reading(filled) as connection:
        (only,) = history.intervals(connection, "d/new")
    assert told.attributes.name == only.attributes.name == "Neu"
    assert fill(filled, *NEWEST, new | {"name": "Anders"}, at=BEGIN + 3 * DAY).revision == 4
    (told,) = ask(filled, slug="d/new")
    assert told.attributes.name == "Anders"
