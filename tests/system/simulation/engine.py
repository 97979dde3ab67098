"""SQLAlchemy's statements on SQLite without its pool, events and cursors: most of a seed's time went there.

SQLAlchemy's compiler makes the SQL and its types read and write the values, so that the product's
statements are what runs; a test holds what they do against SQLAlchemy's own engine.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self
from weakref import WeakKeyDictionary

from sqlalchemy import create_engine, exc

_dialect = create_engine("sqlite://").dialect


class ThinResult:
    """The rows of a statement, and how many it changed."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Give every row."""
        return self._rows

    def one(self) -> Any:
        """Give the one row that there is."""
        (row,) = self._rows
        return row

    def one_or_none(self) -> Any:
        """Give the one row that there is, None without any."""
        return self.one() if self._rows else None

    def first(self) -> Any:
        """Give the first row, None without any."""
        return self._rows[0] if self._rows else None

    def scalar_one(self) -> Any:
        """Give the first value of the one row that there is."""
        return self.one()[0]


class ThinEngine:
    """Gives connections to one SQLite database. `around` makes a transaction, told whether it writes."""

    dialect = _dialect
    url = "sqlite://"

    def __init__(
        self, database: sqlite3.Connection, around: Callable[[bool], AbstractContextManager[None]]
    ) -> None:
        self.database, self.around = database, around

    def connect(self) -> "ThinConnection":
        """Open a connection, which costs nothing here."""
        return ThinConnection(self)


class ThinConnection:
    """What the product uses of SQLAlchemy's connection."""

    dialect = _dialect

    def __init__(self, engine: ThinEngine) -> None:
        self._engine = engine
        self._writes = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execution_options(self, *, pricebeat_writes: bool) -> Self:
        """Say whether the transaction writes."""
        self._writes = pricebeat_writes
        return self

    def begin(self) -> AbstractContextManager[None]:
        """Begin a transaction, which ends with the block."""
        return self._engine.around(self._writes)

    def scalar(self, statement: Any, values: Any = None) -> Any:
        """Give the first value of the first row, or None."""
        row = self.execute(statement, values).first()
        return None if row is None else row[0]

    def scalars(self, statement: Any) -> ThinResult:
        """Give the first value of each row."""
        return ThinResult([row[0] for row in self.execute(statement)], -1)

    def execute(self, statement: Any, values: Any = None) -> ThinResult:
        """Run a statement, once or for each of a list of values."""
        rows = values if isinstance(values, list) else [values or {}]
        plan = _plan(statement, tuple(sorted(rows[0])), many=len(rows) > 1)
        cursor = self._engine.database.cursor()
        try:
            if len(rows) > 1:
                cursor.executemany(plan.sql, [plan.bind(row) for row in rows])
            else:
                cursor.execute(*plan.expand(rows[0]))
        except sqlite3.IntegrityError as error:
            raise exc.IntegrityError(plan.sql, rows, error) from error
        except sqlite3.Error as error:
            raise exc.OperationalError(plan.sql, rows, error) from error
        read = plan.reader(cursor.description) if cursor.description else list
        return ThinResult([read(row) for row in cursor], cursor.rowcount)


class _Plan:
    """How one statement is run: its SQL, the values that stand in it, and how its rows are read."""

    def __init__(self, statement: Any, names: tuple[str, ...], *, many: bool) -> None:
        self._compiled = statement.compile(dialect=_dialect, column_keys=list(names), for_executemany=many)
        self._fixed = self._compiled.construct_params(_check=False)
        self.sql: str = self._compiled.string
        self._always = None if names else self._expand({})
        self._read: Callable[[Sequence[Any]], Any] | None = None

    def expand(self, row: dict[str, Any]) -> tuple[str, list[Any]]:
        """Give the SQL for these values, and all values in its order."""
        return self._always or self._expand(row)

    def _expand(self, row: dict[str, Any]) -> tuple[str, list[Any]]:
        if not self._compiled.post_compile_params:
            return self.sql, self.bind(row)
        bound = {**self._fixed, **row}
        expanded = self._compiled._process_parameters_for_postcompile(bound)  # IN has a place for each value
        write = {**self._compiled._bind_processors, **expanded.processors}
        return expanded.statement, _in_order(bound, expanded.positiontup or (), write)

    def bind(self, row: dict[str, Any]) -> list[Any]:
        """Give all values in the SQL's order."""
        return _in_order(
            {**self._fixed, **row}, self._compiled.positiontup or (), self._compiled._bind_processors
        )

    def reader(self, description: Any) -> Callable[[Sequence[Any]], Any]:
        """Give what makes a row of SQLite's, which says the columns, one with names and the types' values."""
        if self._read is None:
            self._read = _reader(self._compiled, description)
        return self._read


_plans: WeakKeyDictionary[Any, dict[Any, _Plan]] = WeakKeyDictionary()


def _plan(statement: Any, names: tuple[str, ...], *, many: bool) -> _Plan:
    """Give the plan of a statement, the one made before where it is the same object."""
    plans = _plans.get(statement)
    if plans is None:
        plans = _plans[statement] = {}
    if (names, many) not in plans:
        plans[names, many] = _Plan(statement, names, many=many)
    return plans[names, many]


def _in_order(values: dict[str, Any], names: Sequence[str], write: dict[str, Any]) -> list[Any]:
    return [write[name](values[name]) if name in write else values[name] for name in names]


def _reader(compiled: Any, description: Any) -> Callable[[Sequence[Any]], Any]:
    columns = compiled._result_columns
    if len(columns) != len(description):  # a text says nothing of its columns
        return namedtuple("Row", [name for name, *_rest in description], rename=True)._make
    make = namedtuple("Row", [column.keyname for column in columns])._make
    reads = [column.type._cached_result_processor(_dialect, None) for column in columns]
    if not any(reads):
        return make
    return lambda row: make(
        value if read is None else read(value) for read, value in zip(reads, row, strict=True)
    )
