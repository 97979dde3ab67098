"""A web instance's surroundings: a migrated SQLite, a stand-in upstream, and a Redis that is not there."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Self
from unittest import mock

from flask.testing import FlaskClient
from sqlalchemy import update

import deploy_migrations
from local.standin.client import Standin
from prices.refresh.outcome import Refresh
from prices.refresh.story import refresh_prices
from prices.runtime.deployment import address_of, remember
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import utc_now, writing
from prices.store.tables import catalogue
from web import create_app
from web.context import EXTENSION


class Site:
    """The surroundings, a context manager; `env` is what a process is started with, `other` changes it."""

    def __init__(self, folder: Path, upstream: Standin, **other: str) -> None:
        self.upstream = upstream
        self.env = {
            "DATABASE_URL": f"sqlite:///{folder / 'prices.sqlite3'}",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "OPENROUTER_BASE_URL": upstream.base_url,
            **other,
        }
        self._made: list[Services] = []
        with mock.patch.dict(os.environ, self.env):
            assert deploy_migrations.main([]) == 0

    def refresh(self, *, force: bool = False) -> Refresh:
        self._made.append(Services.make(Settings.from_env(self.env)))
        return refresh_prices(self._made[-1], worker="test", force=force)

    def confirm_ahead(self, by: timedelta) -> None:
        """Let the last refresh bear a time ahead, as after the database's clock was set back."""
        with writing(self._made[-1].engine) as connection:
            connection.execute(update(catalogue).values(refreshed_at=utc_now(connection) + by))

    def lost_database(self) -> str:
        """Give an address at which the database was, as Redis remembers, and is no longer."""
        url = "postgres://u:hunter2@127.0.0.1:1/db"
        services = self._made[-1]
        lost = Settings.from_env(self.env | {"DATABASE_URL": url})
        remember(services.redis, services.keys, address_of(lost.database_url))
        return url

    def client(self, **env: str) -> FlaskClient:
        app = create_app(Settings.from_env(self.env | env))
        self._made.append(app.extensions[EXTENSION].services)
        return app.test_client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for services in self._made:
            services.engine.dispose()
            services.redis.close()
