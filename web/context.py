"""What the requests of one application share: its clients, its copy of the catalogue, its health."""

import threading
import time
from dataclasses import dataclass
from typing import Any, Final, cast

from flask import current_app

from prices.health import HealthReporter
from prices.services import Services
from prices.snapshot import Snapshot, SnapshotReader

EXTENSION: Final = "pricebeat"


class SharedHealth:
    """One report for all who ask within a second, so that probes cannot become a load."""

    LASTS_SECONDS: Final = 1.0

    def __init__(self, reporter: HealthReporter) -> None:
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


@dataclass(frozen=True, slots=True)
class WebContext:
    """The application's clients, the reader of the published catalogue, and the health report."""

    services: Services
    reader: SnapshotReader
    health: SharedHealth


def web_context() -> WebContext:
    """Give the current application's context."""
    return cast("WebContext", current_app.extensions[EXTENSION])


def current_snapshot() -> Snapshot:
    """Give the catalogue to serve from. Raises PricesError when there is none to be had."""
    return web_context().reader.current()
