"""SQLAlchemy's statements on SQLite without its pool, events and cursors: most of a seed's time went there.

SQLAlchemy's compiler makes the SQL and its types read and write the values, so that the product's
statements are what runs; a test holds what they do against SQLAlchemy's own engine.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self
from weakref import WeakKeyDictionary

from sqlalchemy import create_engine, exc
from sqlalchemy.engine.result import IteratorResult, ScalarResult, SimpleResultMetaData

_dialect = create_engine("sqlite://").dialect


class ThinResult(IteratorResult[Any]):
    """The rows of a statement, or how many it changed."""

    rowcount: int = -1


class ThinEngine:
    """Gives connections to one SQLite database. `around` makes a transaction, told whether it writes."""

    dialect = _dialect

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
        return self.execute(statement, values).scalar()

    def scalars(self, statement: Any) -> ScalarResult[Any]:
        """Give the first value of each row."""
        return self.execute(statement).scalars()

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
        result = ThinResult(plan.columns(cursor.description), iter(cursor.fetchall()))
        result.rowcount = cursor.rowcount
        return result


class _Plan:
    """How one statement is run: its SQL, the values that stand in it, and how its rows are read."""

    def __init__(self, statement: Any, names: tuple[str, ...], *, many: bool) -> None:
        self._compiled, self._extracted, self._collected, _hit = statement._compile_w_cache(
            _dialect, compiled_cache=_compiled, column_keys=list(names), for_executemany=many
        )
        self.sql: str = self._compiled.string
        self._always = None if names else self._expand({})

    def expand(self, row: dict[str, Any]) -> tuple[str, list[Any]]:
        """Give the SQL for these values, and all values in its order."""
        return self._always or self._expand(row)

    def _expand(self, row: dict[str, Any]) -> tuple[str, list[Any]]:
        if not self._compiled.post_compile_params:
            return self.sql, self.bind(row)
        bound = self._construct(row)
        expanded = self._compiled._process_parameters_for_postcompile(bound)  # IN has a place for each value
        write = {**self._compiled._bind_processors, **expanded.processors}
        return expanded.statement, _in_order(bound, expanded.positiontup or (), write)

    def bind(self, row: dict[str, Any]) -> list[Any]:
        """Give all values in the SQL's order."""
        return _in_order(
            self._construct(row), self._compiled.positiontup or (), self._compiled._bind_processors
        )

    def _construct(self, row: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = self._compiled.construct_params(
            row, escape_names=False, extracted_parameters=self._extracted, _collected_params=self._collected
        )
        return values

    def columns(self, description: Any) -> SimpleResultMetaData:
        """Say what the columns are called and how their values are read."""
        known = _columns.get(self._compiled)
        if known is None:
            known = _columns[self._compiled] = _read_columns(self._compiled, description or ())
        return known


_compiled: dict[Any, Any] = {}
_columns: dict[Any, SimpleResultMetaData] = {}
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


def _read_columns(compiled: Any, description: Sequence[Any]) -> SimpleResultMetaData:
    columns = compiled._result_columns
    if len(columns) != len(description):
        return SimpleResultMetaData(
            [name for name, *_rest in description]
        )  # a text says nothing of its columns
    readers = [column.type._cached_result_processor(_dialect, None) for column in columns]
    return SimpleResultMetaData([column.keyname for column in columns], _processors=readers)
