"""Statements for many rows, so many at a time that memory stays bounded."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Executable

T = TypeVar("T")

MOST_ROWS: Final = 500
"""How many rows one statement takes."""


def execute_each(connection: Connection, statement: Executable, rows: Iterable[dict[str, Any]]) -> None:
    """Execute a statement for each row, if there are any."""
    for some in batches(rows):
        connection.execute(statement, some)


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut values to what one statement takes."""
    rest = iter(values)
    while batch := list(islice(rest, MOST_ROWS)):
        yield batch
