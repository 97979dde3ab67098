"""The release step: migrate the database once per deployment, never per instance.

Two releases at once migrate once: the whole migration is one transaction under the database's own
lock. Exit status 0 migrated or nothing to do, 1 failed with nothing changed, 2 wrong usage.
"""

import argparse
import io
import sys
from pathlib import Path
from urllib.parse import urlsplit

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from prices.errors import PricesError, in_full
from prices.runtime.bounds import Limits
from prices.runtime.settings import ROOT, VAR, Settings
from prices.store.database import make_engine, writing

LOCK_ID = 0x50524943
"""PostgreSQL's advisory lock of the release step."""
LIMITS = Limits(statement=600, lock=60, idle=600)
"""How long a release waits: for another that migrates, and for a large table to be converted."""


def main(arguments: list[str] | None = None) -> int:
    """Run the release step with command-line arguments; give the exit status."""
    parser = argparse.ArgumentParser(prog="deploy_migrations.py", description="Migrate the database.")
    parser.add_argument(
        "--dry-run", action="store_true", help="print pending revisions and their SQL, change nothing"
    )
    options = parser.parse_args(arguments)
    try:
        url = Settings.from_env().database_url
        if not options.dry_run:
            _make_folder(url)
        engine = make_engine(url, process="release", limits=LIMITS)
        try:
            (_dry_run if options.dry_run else _migrate)(engine)
        finally:
            engine.dispose()
    except (PricesError, SQLAlchemyError, OSError) as error:
        print(f"deploy_migrations: {in_full(error)}", file=sys.stderr)
        return 1
    return 0


def _migrate(engine: Engine) -> None:
    config = _config()
    _let_readers_read(engine)
    with writing(engine) as connection:
        _wait_for_lock(connection)
        pending = _pending(config, _current(connection))
        for revision in pending:
            print(f"migrating to {revision}", flush=True)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    print("the database is up to date" if not pending else f"migrated to {pending[-1]}")


def _dry_run(engine: Engine) -> None:
    config = _config()
    current = _current_without_touching(engine)
    pending = _pending(config, current)
    if not pending:
        print("nothing is pending")
        return
    print("\n".join(f"pending: {revision}" for revision in pending))
    config.output_buffer = io.StringIO()
    config.attributes["dialect_name"] = engine.dialect.name
    command.upgrade(config, f"{current or 'base'}:head", sql=True)
    print(config.output_buffer.getvalue().strip())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return config


def _pending(config: Config, current: str | None) -> list[str]:
    script = ScriptDirectory.from_config(config)
    if current is not None and current not in {known.revision for known in script.walk_revisions()}:
        raise PricesError(f"the database is at revision {current}, which this version does not know")
    return [known.revision for known in script.iterate_revisions("head", current or "base")][::-1]


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _current_without_touching(engine: Engine) -> str | None:
    """Ask for the revision; a SQLite file that is not there is not made."""
    path = _sqlite_path(str(engine.url))
    if path is not None and not path.exists():
        return None
    with engine.connect() as connection:
        return _current(connection) if inspect(connection).has_table("alembic_version") else None


def _wait_for_lock(connection: Connection) -> None:
    """Wait for another release; SQLite's transaction has its write lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})


def _let_readers_read(engine: Engine) -> None:
    """Switch SQLite, for good, to the journal with which readers go on while a refresh is written."""
    if engine.dialect.name == "sqlite":
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            raw.close()


def _make_folder(url: str) -> None:
    """Make the folder of a SQLite file. What lies in `var/` is its owner's alone, also before `make run`."""
    if (path := _sqlite_path(url)) is not None:
        if VAR in path.parents:
            VAR.mkdir(mode=0o700, exist_ok=True)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)  # what SQLite makes beside it has the same mode
        path.parent.mkdir(parents=True, exist_ok=True)


def _sqlite_path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(parts.path[1:]) if parts.scheme == "sqlite" and len(parts.path) > 1 else None


if __name__ == "__main__":
    sys.exit(main())
