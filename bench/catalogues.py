"""Catalogues in databases of their own, refreshed with one list after another."""

import contextlib
import gzip
import itertools
import os
from dataclasses import replace
from typing import Any, Final

import msgspec
import requests
from sqlalchemy import make_url, text

import deploy_migrations
from prices.refresh.story import refresh_prices
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import writing

_NUMBERS: Final = itertools.count(1)


class Catalogues:
    """One catalogue after another, and the lists of one size that upstream serves.

    `bench.lists` says how they differ.
    """

    def __init__(self, url: str, redis_url: str, lists_url: str) -> None:
        self._url, self._redis_url, self.lists_url = url, redis_url, lists_url
        self._number = 0
        self._services: Services | None = None

    def empty(self) -> None:
        """Begin with an empty catalogue."""
        name, url = f"bench_{next(_NUMBERS)}", make_url(self._url)
        if url.get_backend_name() == "postgresql":
            _make_database(self._url, name)
        else:
            name = f"{url.database}-{name}"
        self.open(url.set(database=name).render_as_string(hide_password=False))
        with contextlib.redirect_stdout(None):
            deploy_migrations.main([])
        self.services.redis.flushdb()

    def open(self, database_url: str, number: int | None = None) -> None:
        """Go on with the catalogue in a database, which holds the list of a number."""
        self.close()
        self._number = self._number if number is None else number
        os.environ["DATABASE_URL"] = database_url
        self._services = Services.make(
            Settings.from_env({"DATABASE_URL": database_url, "REDIS_URL": self._redis_url})
        )

    @property
    def services(self) -> Services:
        """The clients of the open catalogue."""
        assert self._services, "no catalogue is open"
        return self._services

    def close(self) -> None:
        """Close all connections."""
        if self._services:
            self._services.engine.dispose()
            self._services.redis.close()

    def another(self) -> None:
        """Refresh with a list in which every model is another than before, or new in an empty catalogue."""
        self._number += 1
        self._refresh(f"{self._number}")

    def one_percent(self) -> None:
        """Refresh with a list in which every hundredth model is another than before."""
        self._refresh(f"{self._number}+")

    def _refresh(self, name: str) -> None:
        upstream = replace(self.services.settings, upstream_url=f"{self.lists_url}/{name}")
        done = refresh_prices(replace(self.services, settings=upstream), worker="bench", force=True)
        assert done.outcome == "refreshed", done

    def fetched(self) -> Any:
        """Get a list and parse it."""
        response = requests.get(f"{self.lists_url}/{self._number}/models", timeout=60)
        return msgspec.json.decode(response.content), response.content

    def floor(self) -> None:
        """Do what nothing can be saved of."""
        told, body = self.fetched()
        rows = [{"id": row["id"], "document": msgspec.json.encode(row).decode()} for row in told["data"]]
        with writing(self.services.engine) as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS floor (id TEXT PRIMARY KEY, document TEXT)"))
            connection.execute(
                text(
                    "INSERT INTO floor VALUES (:id, :document)"
                    " ON CONFLICT (id) DO UPDATE SET document = excluded.document"
                ),
                rows,
            )
        gzip.compress(body, 6)


def _make_database(server: str, name: str) -> None:
    services = Services.make(Settings.from_env({"DATABASE_URL": server}))
    with services.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    services.engine.dispose()
