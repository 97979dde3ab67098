"""What is published: bodies as they are served, and the stamp that says which they are and when confirmed."""

import gzip
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

BODIES_VERSION = 6
"""Moves when the bodies of one revision would come out otherwise than before."""
AHEAD: Final = timedelta(hours=1)
"""A time further ahead of the clock that judges it was told by a clock that was wrong."""
IDENTITY: Final = "identity"


def strong_etag(content: bytes) -> str:
    """Give the validator of bytes as they are sent: a strong one names those bytes and no others.

    It is made of them alone, so equal bytes have equal validators on every instance, and the same body
    packed otherwise has another (RFC 9110, section 8.8.1).
    """
    return f'"{hashlib.blake2b(content, digest_size=10).hexdigest()}"'


class PublishedBody(msgspec.Struct, frozen=True):
    """One body as it is served, packed in each encoding.

    `etag` is the validator of the plain one: processes of an earlier release, which read the same Redis
    while it is replaced, make the others of it.
    """

    etag: str
    gzip: bytes
    br: bytes
    zstd: bytes

    @property
    def encodings(self) -> Sequence[str]:
        """Every encoding that there is, the smallest first."""
        return ("br", "zstd", "gzip", IDENTITY)

    def encoded(self, encoding: str) -> bytes:
        """Give the body in an encoding, as Content-Encoding names it."""
        if encoding == IDENTITY:
            return gzip.decompress(self.gzip)
        packed: bytes = getattr(self, encoding)
        return packed


class Publication(msgspec.Struct, frozen=True):
    """One revision as it is served: upstream's list, our own, and each client format by its path.

    `commit` tells the revision from another to which its number was given.
    """

    revision: int
    models: PublishedBody
    prices: PublishedBody
    formats: dict[str, PublishedBody]
    commit: str = ""


class Stamp(msgspec.Struct, frozen=True):
    """Which content is published, and when it was last confirmed (UTC; None before the first refresh).

    `run` is the number of the run that confirmed it, 0 where that is unknown, and `commit` names its commit:
    a database that was restored from a backup gives numbers out again.
    """

    content: str
    refreshed_at: datetime | None
    run: int = 0
    commit: str = ""

    def is_later_than(self, other: "Stamp", now: datetime) -> bool:
        """Whether this was confirmed after the other one, by its time and by its run.

        A time well ahead of `now` is not later. Neither is that of an earlier run: the database's clock was
        set back between the two runs.
        """
        at, before = self.refreshed_at, other.refreshed_at
        if at is None or at - now > AHEAD or 0 < self.run < other.run:
            return False
        return before is None or at > before
