"""What those who write a revision share: the revision itself, and rows in bulk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert


@dataclass(frozen=True, slots=True)
class Revision:
    """The revision that is being written: its number, the run that writes it, and as of when it holds."""

    number: int
    run_id: int
    at: datetime


def insert_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, if there are any."""
    if rows:
        connection.execute(insert(table), rows)


def batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a list to what one statement may carry."""
    for start in range(0, len(values), 500):
        yield values[start : start + 500]
