"""A body as it came from upstream, and what is kept of it once it is read."""

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is kept of a body once it is read: when it came, how long that took, its size and its BLAKE2b.

    `at` is None for just now, `size` (bytes) None where only its digest is known.
    """

    at: datetime | None
    fetch_seconds: float
    size: int | None
    digest: str


@dataclass(frozen=True, slots=True)
class Received:
    """A body as it was received: when (UTC, None for just now), and the seconds that the fetch took."""

    body: bytes
    at: datetime | None = None
    fetch_seconds: float = 0.0

    @property
    def receipt(self) -> Receipt:
        """What is kept of it."""
        digest = hashlib.blake2b(self.body, digest_size=32).hexdigest()
        return Receipt(self.at, self.fetch_seconds, len(self.body), digest)
