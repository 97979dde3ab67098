"""Statements for many rows: every row arrives, in its order, however many there are."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, bindparam, insert, select, update

from prices.store.bulk import MOST_ROWS, batches, execute_each
from prices.store.database import reading, writing

NOTES = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text))


@pytest.fixture
def notes(engine: Engine) -> Iterator[Engine]:
    with writing(engine) as connection:
        NOTES.create(connection)
    yield engine
    with writing(engine) as connection:
        NOTES.drop(connection)


def add(engine: Engine, texts: list[str]) -> None:
    with writing(engine) as connection:
        execute_each(connection, insert(NOTES), ({"text": text} for text in texts))


def stored(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.scalars(select(NOTES.c.text).order_by(NOTES.c.id)))


@pytest.mark.parametrize("count", [0, 1, MOST_ROWS, MOST_ROWS + 1, 2 * MOST_ROWS + 7])
def test_rows_arrive_in_their_order(count: int, notes: Engine) -> None:
    texts = [str(number) for number in range(count)]
    add(notes, texts)
    assert stored(notes) == texts


def test_an_update_finds_its_rows(notes: Engine) -> None:
    add(notes, ["a", "b", "c"])
    change = update(NOTES).where(NOTES.c.id == bindparam("row")).values(text=bindparam("new"))
    rows = [{"row": 3, "new": "C"}, {"row": 1, "new": "A"}, {"row": 9, "new": "I"}]
    with writing(notes) as connection:
        execute_each(connection, change, rows)
    assert stored(notes) == ["A", "b", "C"]


def test_values_are_cut_to_what_one_statement_takes() -> None:
    assert [len(batch) for batch in batches(range(MOST_ROWS + 1))] == [MOST_ROWS, 1]
    assert list(batches([])) == []
