"""What the requests of one application share: its clients, its copy of the catalogue, its health."""

import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from flask import current_app

from prices.published.bodies import Publication, Stamp
from prices.published.reader import SnapshotReader
from prices.published.snapshot import Snapshot
from prices.runtime.deployment import Deployment, address_of
from prices.runtime.redis_client import Keys, make_redis
from prices.runtime.settings import Settings

if TYPE_CHECKING:
    from prices.operations.shared_report import SharedReporter
    from prices.services import Services

EXTENSION: Final = "pricebeat"
REDIS_SECONDS: Final = 0.25
"""A request waits no longer for Redis: the database and the copy in memory stand behind it."""


class SharedHealth:
    """One report for all who ask within a second, so that probes cannot become a load."""

    LASTS_SECONDS: Final = 1.0

    def __init__(self, reporter: "SharedReporter") -> None:
        self._reporter = reporter
        self._making = threading.Lock()
        self._made: tuple[float, dict[str, Any]] | None = None

    def current(self) -> dict[str, Any]:
        """Give the report; while one thread makes a new one, the others get the last."""
        made = self._made
        if made and time.monotonic() - made[0] < self.LASTS_SECONDS:
            return made[1]
        if not self._making.acquire(blocking=made is None):
            return made[1] if made else {}
        try:
            if self._made is made:
                self._made = (time.monotonic(), self._reporter.report())
            return self._made[1] if self._made else {}
        finally:
            self._making.release()


class WebContext:
    """The application's settings and clients, the reader of the published catalogue, and the health report.

    What needs the database is made when it is first asked for, because SQLAlchemy takes its time to load.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis = make_redis(settings.redis_url, process="web", seconds=REDIS_SECONDS)
        address = address_of(settings.database_url)
        self.deployment = Deployment(self.redis, settings.key_prefix, address, self._ask_deployment)
        self.reader = SnapshotReader(self.redis, self._keys, self._read_database, self._knows)
        self._making = threading.Lock()

    @property
    def services(self) -> "Services":
        """The clients of the stories."""
        with self._making:
            return self._services

    @cached_property
    def _services(self) -> "Services":
        from prices.services import Services

        return Services.make_for_web(self.settings, self.redis, self.deployment)

    @cached_property
    def health(self) -> SharedHealth:
        """The report that all who ask this process within a second share, and its instances in turn."""
        from prices.operations.health import HealthReporter
        from prices.operations.shared_report import SharedReporter

        services = self.services.looking_in()
        return SharedHealth(SharedReporter(HealthReporter(services), services))

    def _keys(self) -> Keys:
        """Give the table of keys: by Redis's memory first, because SQLAlchemy takes its time to load."""
        return self.deployment.known() or self.deployment.keys()

    def _ask_deployment(self) -> str:
        from prices.store.queries import deployment_of

        return deployment_of(self.services.looking_in().engine)

    def _read_database(self, known: Stamp | None) -> tuple[Stamp, Publication | None]:
        from prices.published.make import read_database

        return read_database(self.services.looking_in(), known)

    def _knows(self, stamp: Stamp) -> bool:
        from prices.published.make import knows

        return knows(self.services.looking_in(), stamp)


def web_context() -> WebContext:
    """Give the current application's context."""
    return cast("WebContext", current_app.extensions[EXTENSION])


def current_snapshot() -> Snapshot:
    """Give the catalogue to serve from. Raises PricesError when there is none to be had."""
    return web_context().reader.current()
