"""How values of ours stand in columns: times in UTC, and texts that the program has as bytes."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, DateTime, Dialect, Text, TypeDecorator, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite, which knows no zones, stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Convert a time once for the many rows of a revision that share it."""
        return _remembering(super().bind_processor(dialect))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Convert back in the same way."""
        return _remembering(super().result_processor(dialect, coltype))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; hand SQLite the UTC wall clock."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back aware UTC times, whatever zone the session has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Utf8(TypeDecorator[bytes]):
    """A text that the program has as UTF-8: SQLite takes and gives the bytes as they are."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Hand PostgreSQL's driver the text, which it sends faster than bytes."""
        return None if dialect.name == "sqlite" else lambda value: value and value.decode()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:  # noqa: ARG002
        """Give bytes back."""
        return None if dialect.name == "sqlite" else lambda value: value and value.encode()

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[Any]:
        """Store what is bound as a text."""
        return _Cast(bindvalue, literal_column("TEXT"))

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read it as bytes."""
        return _Cast(column, literal_column("BLOB"), type_=self)


class _Cast(FunctionElement[Any]):
    """A cast between a text and its bytes, on SQLite."""

    inherit_cache = True

    def __init__(self, value: ColumnElement[Any], to: ColumnElement[Any], type_: Any = None) -> None:
        super().__init__(value, to)
        self.type = type_ or Text()


@compiles(_Cast, "sqlite")
def _sqlite_cast(cast: _Cast, compiler: Any, **options: Any) -> str:
    value, to = (compiler.process(clause, **options) for clause in cast.clauses)
    return f"CAST({value} AS {to})"


@compiles(_Cast, "postgresql")
def _postgresql_cast(cast: _Cast, compiler: Any, **options: Any) -> str:
    value, _to = cast.clauses
    return str(compiler.process(value, **options))


def _remembering(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if convert is None else lru_cache(maxsize=256)(convert)
