"""What is in force and what is published: exactly what was committed last, and never an older one."""

import sqlite3

import msgspec

from prices.published.bodies import AHEAD
from tests.system.simulation.wall_clock import WallClock

_IN_FORCE = """
SELECT d.schedule FROM dated_prices d JOIN language_models m ON m.id = d.model_id
WHERE m.slug = 'a/one' ORDER BY d.revision_from DESC LIMIT 1
"""


class PricesReceived:
    """The price that moves in each body that was received, by the body's digest."""

    def __init__(self) -> None:
        self._prompts: dict[str, str] = {}

    def add(self, digest: str, body: bytes) -> None:
        """Note one more."""
        self._prompts[digest] = msgspec.json.decode(body)["data"][0]["pricing"]["prompt"]

    def deviation(self, database: sqlite3.Connection, digest: str) -> str | None:
        """Say how the price in force is not that of the body which was committed last; None where it is."""
        (schedule,) = database.execute(_IN_FORCE).fetchone()
        price = self._prompts[digest]
        return None if f'"{price}"' in schedule else f"the price in force is {schedule}, not {price}"


def is_older(
    after: dict[bytes, bytes] | None, before: dict[bytes, bytes] | None, clock: WallClock, now: float
) -> bool:
    """Whether what is published, or its confirmation, is older than what stood there before.

    Where the database's clock was set, time and run may say the opposite of each other: it is older by both
    then, and a time well ahead of Redis's clock is not later. That it comes right is seen in the calm.
    """
    if not before or not after:
        return False
    older, newer = (int(fields.get(b"refreshed_us", 0)) / 1e6 for fields in (before, after))
    run, next_run = (int(fields.get(b"run", 0)) for fields in (before, after))
    if not clock.was_set:
        return newer < older or next_run < run
    return newer < older <= now + AHEAD.total_seconds() and next_run <= run
