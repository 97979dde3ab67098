"""Snapshot readers over the clients of a story, as a web process makes them over its own."""

import time
from collections.abc import Callable

from prices import publisher
from prices.services import Services
from prices.snapshot import SnapshotReader


def reader_of(services: Services, clock: Callable[[], float] = time.monotonic) -> SnapshotReader:
    """A reader that asks these clients."""
    return SnapshotReader(
        services.redis,
        lambda known: publisher.read_database(services.engine, services.settings.markup, known),
        clock,
    )
