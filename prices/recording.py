"""What those who write a revision share: the revision itself, and rows in bulk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Revision:
    """The revision that is being written: its number, the run that writes it, and as of when it holds."""

    number: int
    run_id: int
    at: datetime


def execute_many(connection: Connection, statement: Executable, rows: Iterable[dict[str, Any]]) -> None:
    """Execute a statement for each row, if there are any; so many at a time that memory stays bounded."""
    for batch in batches(rows):
        connection.execute(statement, batch)


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut values to what one statement may carry."""
    rest = iter(values)
    while batch := list(islice(rest, 500)):
        yield batch
