"""Snapshot readers over the clients of a story, as a web process makes them over its own."""

import time
from collections.abc import Callable

from prices.published import make
from prices.published.reader import SnapshotReader
from prices.services import Services


def reader_of(services: Services, clock: Callable[[], float] = time.monotonic) -> SnapshotReader:
    """A reader that asks these clients."""
    return SnapshotReader(
        services.redis,
        lambda: services.deployment.known() or services.keys,
        lambda known: make.read_database(services, known),
        lambda stamp: make.knows(services, stamp),
        clock,
    )
