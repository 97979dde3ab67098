"""A catalogue that an earlier release filled goes on under this one, and back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, inspect, select, update

import deploy_migrations
from prices.catalogue.changes import ChangeKind
from prices.errors import PricesError
from prices.history import read
from prices.history.read import KnownPrice
from prices.runtime.settings import Settings
from prices.store.column_types import UtcDateTime
from prices.store.database import make_engine, reading, writing
from prices.store.queries import catalogue_state
from prices.store.tables import SCHEMA_HEAD, catalogue, language_models, refresh_runs, revisions
from tests.support.ledger import fill
from tests.support.lists import listed, model

DAY = timedelta(days=1)
BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
FIRST, SECOND = "20261121_01", "20261121_02"

price_intervals = Table(
    "price_intervals",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("model_id", Integer),
    Column("schedule", Text),
    Column("valid_from", UtcDateTime),
    Column("valid_to", UtcDateTime),
    Column("revision_from", Integer),
    Column("revision_to", Integer),
)
"""Where the first two releases kept prices."""

ONE = model("a/one", prompt="0.000002", architecture={"input_modalities": ["text", "image"]})
TWO = model("b/two", name="Zwei", context_length=8192)
THREE = model("c/three", prompt="-1")
NEWEST = (TWO, ONE)
"""What upstream listed last; the first revision held ONE at half the price, and THREE."""


def migrate(engine: Engine, to: str) -> None:
    config = deploy_migrations._config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        current = MigrationContext.configure(connection).get_current_revision()
        (command.upgrade if (current or "") < to else command.downgrade)(config, to)


def write(engine: Engine, table: Table, *rows: dict[str, Any]) -> None:
    with writing(engine) as connection:
        for row in rows:
            connection.execute(table.insert().values(**row))


def run(at: datetime) -> dict[str, Any]:
    told = {"state": "finished", "outcome": "refreshed", "worker": "w1", "token": "t", "attempt": 0}
    return {"forced": False, "degraded": False, "started_at": at, "heartbeat_at": at, **told}


def row_of(row: dict[str, Any], position: int, removed_at: datetime | None = None) -> dict[str, Any]:
    (read,) = listed(row).models
    written = {"slug": read.id, "position": position, "document": read.document}
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
        return list(read.prices(connection, revision, **other))


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
    migrate(filled, SCHEMA_HEAD)
    check_the_first_two_revisions(filled)
    (one,) = ask(filled, slug="a/one")
    assert one.attributes.inputs == ("text", "image")


def test_history_goes_on_where_the_first_release_left_it(filled: Engine) -> None:
    migrate(filled, SCHEMA_HEAD)
    dearer = model("a/one", prompt="0.000003", architecture={"input_modalities": ["text"]})
    counts = fill(filled, THREE, dearer, TWO, at=BEGIN + 2 * DAY)
    assert (counts.revision, counts.changes) == (3, 2)
    check_the_first_two_revisions(filled)
    assert [slug for slug, _prompt in prompts(ask(filled))] == ["c/three", "a/one", "b/two"]
    with reading(filled) as connection:
        told = read.changes(connection, since=0, limit=99, kinds=frozenset(ChangeKind))
    assert [(change.slug, str(change.kind), change.part) for change in told] == [
        ("c/three", "returned", None),
        ("a/one", "raised", "prompt"),
        ("a/one", "attributes", "inputs"),
    ]


def test_the_same_list_again_is_no_change_after_the_migration(filled: Engine) -> None:
    migrate(filled, SCHEMA_HEAD)
    counts = fill(filled, *NEWEST, at=BEGIN + 2 * DAY)
    assert (counts.revision, counts.changes) == (2, 0)


def content(engine: Engine) -> list[list[Any]]:
    """What all releases keep alike, and all that can be asked of the past."""
    with reading(engine) as connection:
        kept = [list(connection.execute(select(table))) for table in (refresh_runs, language_models)]
        newest = catalogue_state(connection).revision
        said = [list(read.prices(connection, number)) for number in range(1, newest + 1)]
        slugs = connection.scalars(select(language_models.c.slug)).all()
        return [*kept, *said, *(read.intervals(connection, slug) for slug in slugs)]


def test_back_to_the_first_release_and_up_again_loses_no_price(filled: Engine) -> None:
    migrate(filled, SCHEMA_HEAD)
    fill(filled, ONE, THREE, TWO, at=BEGIN + 2 * DAY)
    before = content(filled)[2:]
    migrate(filled, FIRST)
    with filled.connect() as connection:
        kept = set(inspect(connection).get_table_names())
    assert not kept & {"price_holds", "price_changes", "model_attributes", "dated_prices"}

    migrate(filled, SCHEMA_HEAD)
    assert prices_of(content(filled)[2:]) == prices_of(before)
    assert [slug for slug, _prompt in prompts(ask(filled))] == ["a/one", "c/three", "b/two"]
    assert fill(filled, ONE, THREE, at=BEGIN + 3 * DAY).changes == 1


def prices_of(lists: list[list[KnownPrice]]) -> list[list[Any]]:
    """What cannot be lost; what the first release did not keep is what a model was, and its place."""
    return [
        sorted((one.slug, one.schedule.to_json(), one.valid_from, one.valid_to, one.revision) for one in some)
        for some in lists
    ]


STORIES: dict[str, list[tuple[str | None, tuple[int, int | None], tuple[int, int | None]]]] = {
    "never moved": [("1", (0, None), (1, None))],
    "moved twice": [
        ("1", (0, None), (1, 2)),
        ("1", (0, 1), (2, None)),
        ("2", (1, None), (2, 4)),
        ("2", (1, 3), (4, None)),
        ("3", (3, None), (4, None)),
    ],
    "went": [("1", (0, None), (1, 3)), ("1", (0, 2), (3, None))],
    "went and came back": [
        ("1", (0, None), (1, 2)),
        ("1", (0, 1), (2, None)),
        ("1", (3, None), (4, None)),
    ],
    "learned, then moved": [
        ("1", (0, None), (1, 2)),
        ("2", (0, None), (2, 4)),
        ("2", (0, 3), (4, None)),
        ("3", (3, None), (4, None)),
    ],
    "moved at the same time again": [
        ("1", (0, None), (1, 2)),
        ("1", (0, 1), (2, None)),
        ("2", (1, None), (2, 3)),
        ("3", (1, None), (3, None)),
    ],
    "went when it moved, as the first release wrote it": [
        ("1", (0, None), (1, 2)),
        ("1", (0, 0), (2, None)),
    ],
    "moved at the same time, as the first release wrote it": [
        ("1", (0, None), (1, 3)),
        ("1", (0, 0), (3, None)),
        ("2", (0, None), (3, None)),
    ],
    "went when it moved": [
        ("1", (0, None), (1, 2)),
        ("1", (0, 1), (2, None)),
        ("2", (1, None), (2, 3)),
    ],
}


@pytest.mark.parametrize("story", STORIES)
def test_every_interval_of_the_second_release_is_told_by_this_one_and_goes_back(
    story: str, filled: Engine
) -> None:
    migrate(filled, SECOND)
    told = [interval(model("d/it", prompt=prompt), 4, *ranges) for prompt, *ranges in STORIES[story]]
    write(filled, language_models, row_of(model("d/it"), 2))
    write(filled, price_intervals, *told)
    before = intervals(filled)
    meant = [row for row in before if row[2] != row[3]]  # what is empty says nothing
    migrate(filled, SCHEMA_HEAD)
    assert intervals(filled) == meant  # as the release before goes on to read them
    for revision in range(1, 5):
        for hours in (12, 36, 60, 84):
            at = BEGIN + timedelta(hours=hours)
            assert asked(filled, revision, at) == known(told, revision, at)
    migrate(filled, SECOND)
    assert intervals(filled) == meant
    migrate(filled, SCHEMA_HEAD)
    assert asked(filled, 4, BEGIN) == known(told, 4, BEGIN)


def test_the_release_step_waits_for_who_reads_what_it_alters(filled: Engine) -> None:
    if filled.dialect.name == "sqlite":
        pytest.skip("on SQLite who writes has the whole file")
    migrate(filled, SECOND)
    with filled.connect() as reader, ThreadPoolExecutor(1) as pool:
        reader.execute(select(language_models.c.id))
        migrating = pool.submit(migrate, filled, SCHEMA_HEAD)
        with pytest.raises(TimeoutError):
            migrating.result(timeout=0.5)
        reader.execute(select(price_intervals.c.id))
        reader.rollback()
        migrating.result(timeout=10)
    check_the_first_two_revisions(filled)


def intervals(engine: Engine) -> list[Any]:
    """Every interval, without its number."""
    with reading(engine) as connection:
        rows = connection.execute(select(*list(price_intervals.c)[1:])).all()
    return sorted(map(tuple, rows), key=str)


def asked(engine: Engine, revision: int, at: datetime) -> list[Any]:
    return [
        (one.schedule.to_json(), one.valid_from, one.valid_to, one.revision)
        for one in ask(engine, revision=revision, at=at, slug="d/it")
    ]


def known(intervals: list[dict[str, Any]], revision: int, at: datetime) -> list[Any]:
    """Ask the intervals themselves."""
    return [
        (one["schedule"], one["valid_from"], one["valid_to"], one["revision_from"])
        for one in intervals
        if one["valid_from"] <= at
        and (one["valid_to"] is None or at < one["valid_to"])
        and one["revision_from"] <= revision
        and (one["revision_to"] is None or revision < one["revision_to"])
    ]


def test_what_the_first_release_added_beside_the_second_is_served_and_goes_on(filled: Engine) -> None:
    migrate(filled, SECOND)
    new = model("d/new", name="Neu", prompt="0.5")
    at = BEGIN + 2 * DAY
    write(filled, refresh_runs, run(at))
    write(filled, language_models, row_of(new, 2))
    write(filled, price_intervals, interval(new, 4, (2, None), (3, None)))
    write(filled, revisions, {"revision": 3, "run_id": 3, "committed_at": at, "changes": 1})
    with writing(filled) as connection:
        connection.execute(update(catalogue).values(fence=3, revision=3, refreshed_run_id=3, refreshed_at=at))
    migrate(filled, SCHEMA_HEAD)

    assert prompts(ask(filled)) == [("b/two", "0.000001"), ("a/one", "0.000002"), ("d/new", "0.5")]
    (told,) = ask(filled, slug="d/new")
    with reading(filled) as connection:
        (only,) = read.intervals(connection, "d/new")
    assert told.attributes.name == only.attributes.name == "Neu"
    assert fill(filled, *NEWEST, new | {"name": "Anders"}, at=BEGIN + 3 * DAY).revision == 4
    (told,) = ask(filled, slug="d/new")
    assert told.attributes.name == "Anders"


def test_what_the_release_before_still_writes_beside_this_one_fails_whole(filled: Engine) -> None:
    migrate(filled, SCHEMA_HEAD)
    before = content(filled)
    with pytest.raises(PricesError):
        write(filled, price_intervals, interval(ONE, 1, (2, None), (3, None)))
    assert content(filled) == before
