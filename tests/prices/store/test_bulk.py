"""Many rows as one JSON text: every value arrives as it was, in the rows' order, on both engines."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, select, update

from prices.store import bulk
from prices.store.bulk import MOST_ROWS, Bulk, BulkRow
from prices.store.column_types import UtcDateTime
from prices.store.database import reading, writing

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
NOTES = Table(
    "notes",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("said", Text),
    Column("at", UtcDateTime),
    Column("amount", Integer),
)


class Note(BulkRow, frozen=True):
    said: str | None
    at: datetime | None
    amount: int | None


class Timed(BulkRow, frozen=True):
    said: str
    at: datetime | None


class Amount(BulkRow, frozen=True):
    id: int
    amount: int


INSERT = bulk.insert(NOTES, Note)
INSERT_TIMED = bulk.insert(NOTES, Timed, common=("at", "amount"))
SET_AMOUNT = Bulk(
    NOTES, Amount, lambda note, amount: update(NOTES).where(NOTES.c.id == note).values(amount=amount)
)


@pytest.fixture
def notes(engine: Engine) -> Iterator[Engine]:
    with writing(engine) as connection:
        NOTES.create(connection)
    yield engine
    with writing(engine) as connection:
        NOTES.drop(connection)


def insert(engine: Engine, *rows: Note) -> list[Note]:
    with writing(engine) as connection:
        INSERT.execute(connection, rows)
    with reading(engine) as connection:
        found = connection.execute(select(NOTES.c.said, NOTES.c.at, NOTES.c.amount).order_by(NOTES.c.id))
        return [Note(*row) for row in found]


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "null",
        "1",
        "0.10",
        "1e-7",
        "true",
        '"quoted"',
        "it's",
        "a\\u0000b",
        "[1,2]",
        '{"a":null}',
        "雪\n\t𐍈",
    ],
)
def test_a_text_arrives_as_it_was(said: str | None, notes: Engine) -> None:
    assert insert(notes, Note(said, None, None)) == [Note(said, None, None)]


@pytest.mark.parametrize("micros", [0, 1, 100_000, 999_999])
def test_a_time_arrives_and_is_stored_as_by_any_other_statement(micros: int, notes: Engine) -> None:
    at = NOON + timedelta(microseconds=micros)
    with writing(notes) as connection:
        connection.execute(NOTES.insert().values(at=at))
    assert insert(notes, Note(None, at, None)) == [Note(None, at, None)] * 2
    with reading(notes) as connection:
        assert len(connection.execute(select(NOTES.c.id).where(NOTES.c.at == at)).all()) == 2


def test_more_rows_than_one_statement_takes_arrive_in_their_order(notes: Engine) -> None:
    rows = [Note(str(number), NOON, number) for number in range(2 * MOST_ROWS + 7)]
    assert insert(notes, *rows) == rows


def test_no_rows_are_no_statement(notes: Engine) -> None:
    assert insert(notes) == []


def test_an_update_finds_its_rows(notes: Engine) -> None:
    insert(notes, *(Note(None, NOON, 0) for _ in range(3)))
    with writing(notes) as connection:
        SET_AMOUNT.execute(connection, [Amount(3, 30), Amount(1, 10), Amount(9, 90)])
    assert [note.amount for note in insert(notes)] == [10, 0, 30]


def test_what_rows_have_in_common_is_told_once_and_a_row_may_say_otherwise(notes: Engine) -> None:
    later = NOON + timedelta(hours=1, microseconds=1)
    with writing(notes) as connection:
        rows = [Timed("at the same time", None), Timed("later", later)]
        INSERT_TIMED.execute(connection, rows, common_at=NOON, common_amount=7)
    assert insert(notes) == [Note("at the same time", NOON, 7), Note("later", later, 7)]
