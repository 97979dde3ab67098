"""What the requests of one application share: its clients and its copy of the catalogue."""

from dataclasses import dataclass
from typing import Final, cast

from flask import current_app

from prices.services import Services
from prices.snapshot import Snapshot, SnapshotReader

EXTENSION: Final = "pricebeat"


@dataclass(frozen=True, slots=True)
class WebContext:
    """The application's clients, and the reader of the published catalogue."""

    services: Services
    reader: SnapshotReader


def web_context() -> WebContext:
    """Give the current application's context."""
    return cast("WebContext", current_app.extensions[EXTENSION])


def current_snapshot() -> Snapshot:
    """Give the catalogue to serve from. Raises PricesError when there is none to be had."""
    return web_context().reader.current()
