"""PostgreSQL with a clock that can be set, for every process that asks it; the machine's stays right.

Functions of a schema of its own, which every session of the database searches before `pg_catalog`, stand in
the place of the built-in ones and add what a table says.
"""

from sqlalchemy import create_engine, text

_SETUP = """
CREATE SCHEMA set_clock;
CREATE TABLE set_clock.ahead (seconds double precision NOT NULL);
INSERT INTO set_clock.ahead VALUES (0);
CREATE FUNCTION set_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT pg_catalog.clock_timestamp() + make_interval(secs => seconds) FROM set_clock.ahead';
CREATE FUNCTION set_clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS
  'SELECT pg_catalog.now() + make_interval(secs => seconds) FROM set_clock.ahead';
ALTER DATABASE {name} SET search_path = set_clock, pg_catalog, public;
"""


class DatabaseClock:
    """The clock of one database. Make it before anything connects to it."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with self._engine.connect() as connection:
            connection.execute(text(_SETUP.format(name=self._engine.url.database)))

    def set(self, ahead: float) -> None:
        """Set it so many seconds ahead of the right time; behind it where that is negative."""
        with self._engine.connect() as connection:
            connection.execute(text("UPDATE set_clock.ahead SET seconds = :ahead"), {"ahead": ahead})

    def close(self) -> None:
        """Leave the database."""
        self._engine.dispose()
