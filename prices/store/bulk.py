"""Statements for many rows. Short ones go to the database together, as one JSON text.

To bind the values of each takes longer than to write a row as short as those of history, and on PostgreSQL
each would be a message of its own.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import msgspec
import sqlalchemy
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from prices.store.column_types import UtcDateTime

T = TypeVar("T")

MOST_ROWS: Final = 500
"""How many rows one statement takes, so that memory stays bounded."""


class BulkRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The values of some columns of a table, named as the columns are; times must be UTC, unchecked."""


R = TypeVar("R", bound=BulkRow)


class _Rows(FunctionElement[Any]):
    """The rows of a JSON text, which is a list of lists."""

    name = "rows_of"
    inherit_cache = True


class _Value(FunctionElement[Any]):
    """The value at a place of such a row."""

    name = "value_at"
    inherit_cache = True

    def __init__(self, row: ColumnElement[Any], place: int, type_: TypeEngine[Any]) -> None:
        super().__init__(row, sqlalchemy.literal_column(str(place)))
        self.type = type_


@compiles(_Rows, "sqlite")
def _sqlite_rows(rows: _Rows, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(rows.clauses, **options)})"


@compiles(_Rows, "postgresql")
def _postgresql_rows(rows: _Rows, compiler: Any, **options: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(rows.clauses, **options)} AS jsonb))"


@compiles(_Value, "sqlite")
def _sqlite_value(value: _Value, compiler: Any, **options: Any) -> str:
    row, place = (compiler.process(clause, **options) for clause in value.clauses)
    found = f"json_extract({row}, '$[{place}]')"
    if isinstance(value.type, UtcDateTime):  # 2026-11-22T09:00:00Z as the driver stores it, with six decimals
        return f"substr(replace(replace({found}, 'T', ' '), 'Z', '.000000'), 1, 26)"
    return found


@compiles(_Value, "postgresql")
def _postgresql_value(value: _Value, compiler: Any, **options: Any) -> str:
    row, place = (compiler.process(clause, **options) for clause in value.clauses)
    return f"CAST({row} ->> {place} AS {compiler.dialect.type_compiler_instance.process(value.type)})"


_JSON: Final[BindParameter[str]] = bindparam("rows", type_=Text())
_ROW: Final = _Rows(_JSON).table_valued("value", name="given").c.value


class Bulk(Generic[R]):
    """A statement that is made of the values of a row, and executed for many."""

    def __init__(self, table: Table, row: type[R], make: Callable[..., Executable]) -> None:
        columns = [table.c[name] for name in row.__struct_fields__]
        self._statement = make(*(_Value(_ROW, place, column.type) for place, column in enumerate(columns)))

    def execute(self, connection: Connection, rows: Iterable[R], **common: Any) -> None:
        """Execute the statement for each row, if there are any; `common` is bound as it is."""
        for some in batches(rows):
            connection.execute(self._statement, {"rows": msgspec.json.encode(some).decode(), **common})


def insert(table: Table, row: type[R], common: Collection[str] = ()) -> Bulk[R]:
    """Make an INSERT of such rows.

    The columns of `common` have one value for all rows that give none themselves, which `execute` is given
    as `common_` and the column's name: to read a time from JSON costs more than all else of a row.
    """
    bound = {name: bindparam(f"common_{name}", type_=table.c[name].type) for name in common}

    def make(*values: ColumnElement[Any]) -> Executable:
        told = dict(zip(row.__struct_fields__, values, strict=True))
        told |= {name: func.coalesce(told[name], one) if name in told else one for name, one in bound.items()}
        return sqlalchemy.insert(table).from_select(list(told), select(*told.values()))

    return Bulk(table, row, make)


def execute_each(connection: Connection, statement: Executable, rows: Iterable[dict[str, Any]]) -> None:
    """Execute a statement whose rows are long, which the driver binds faster than JSON is read."""
    for some in batches(rows):
        connection.execute(statement, some)


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut values to what one statement takes."""
    rest = iter(values)
    while batch := list(islice(rest, MOST_ROWS)):
        yield batch
