"""The catalogue in a web process's memory, kept up to Redis, or to the database while Redis is away.

The revision is asked for at most once a second and by one thread at a time; everyone else is served
from memory meanwhile. Without Redis and database the copy in memory serves on, its age told.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from typing import Final, cast

from redis import Redis

from prices.errors import (
    DatabaseUnavailableError,
    OverloadedError,
    PricesError,
    RedisUnavailableError,
    SchemaBehindError,
    in_full,
)
from prices.published import redis_copy
from prices.published.bodies import Publication, Stamp
from prices.published.snapshot import Snapshot
from prices.runtime.background import Question, in_background
from prices.runtime.logs import log
from prices.runtime.redis_client import Keys

CHECK_SECONDS: Final = 1.0
"""How long a copy serves before its revision is asked for again."""
NEWS_SECONDS: Final = 0.04
"""How long a request waits for the answer before it is served the copy in memory."""
FIRST_SECONDS: Final = 0.7
"""How long a request waits when there is no copy yet."""
BREAKER_SECONDS: Final = 5.0
"""How long Redis is left alone after it failed."""
JUDGE_SECONDS: Final = 0.5
"""How long news from Redis wait for the database to say whether it knows them; requests do not wait."""
KNOWN_SECONDS: Final = (30.0, 60.0)
"""How long the database's word that it knows a commit holds; by chance, so that many do not ask at once."""
DATABASE_SECONDS: Final = (2.0, 4.0)
"""How often the database is asked meanwhile; by chance within these, so that many do not ask at once."""

FromDatabase = Callable[[Stamp | None], tuple[Stamp, Publication | None]]
"""Asks the database for what is current: no publication where it is the one that is known by its stamp."""


class SnapshotReader:
    """Gives the newest snapshot that can be had within the time that a request may wait."""

    def __init__(
        self,
        redis: Redis,
        keys: Callable[[], Keys],
        from_database: FromDatabase,
        knows: Callable[[Stamp], bool],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis, self._keys = redis, keys
        self._ask_database, self._ask_whether_known = from_database, knows
        self._clock, self._now = clock, now
        self._look = Question(self._see, clock)
        self._snapshot: Snapshot | None = None
        self._asked_at: float | None = None
        self._failure: PricesError | None = None
        self._redis_closed_until = 0.0
        self._database_closed_until = 0.0
        self._judge_closed_until = 0.0
        self._checked: Stamp | None = None
        self._checked_until = 0.0

    def current(self) -> Snapshot:
        """Give the snapshot to serve from; wait shortly for news, longer only with nothing in memory.

        Raises PricesError when nothing is in memory and neither Redis nor the database can be read.
        """
        if self._asked_at is None or self._clock() - self._asked_at >= CHECK_SECONDS:
            try:
                wait = FIRST_SECONDS if self._snapshot is None else NEWS_SECONDS
                self._look.asked().result(wait)
            except FutureTimeoutError:
                self._asked_at = self._clock()
            except OverloadedError as error:
                self._asked_at, self._failure = self._clock(), error
        if self._snapshot is not None:
            return self._snapshot
        raise self._failure or PricesError("no store has answered yet")

    def _see(self) -> None:
        try:
            newest = self._newest(self._snapshot)
            known = self._snapshot
            if known is None or not known.stamp.is_later_than(newest.stamp, self._now()):
                self._snapshot = newest
            elif self._is_known(known.stamp, anew=True) is False:
                log.warning("The database does not know what was served: it was restored, or is another one")
                self._snapshot = newest
        except PricesError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the copy in memory serves on
            log.error("The catalogue could not be read", exc_info=error)
            self._failure = PricesError("the catalogue could not be read; the log says why")
        finally:
            self._asked_at = self._clock()

    def _newest(self, known: Snapshot | None) -> Snapshot:
        if known is not None and self._is_known(known.stamp) is False:
            return self._from_database(None)
        if self._clock() >= self._redis_closed_until:
            try:
                return self._from_redis(known)
            except RedisUnavailableError as error:
                self._redis_closed_until = self._clock() + BREAKER_SECONDS
                log.warning("Redis is out of reach, serving from the database", reason=in_full(error))
        if known is not None and self._clock() < self._database_closed_until:
            return known
        self._database_closed_until = self._clock() + random.uniform(*DATABASE_SECONDS)
        try:
            return self._from_database(known)
        except (DatabaseUnavailableError, SchemaBehindError) as error:
            if known is None:
                raise
            log.warning("No store is in reach, serving from memory", reason=in_full(error))
            return known

    def _from_redis(self, known: Snapshot | None) -> Snapshot:
        keys = self._keys()
        told = redis_copy.read_stamp(self._redis, keys)
        if known is not None and told is not None:
            if told.content == known.stamp.content and told.commit == known.stamp.commit:
                return known.confirmed(told) if told != known.stamp else known
            if known.stamp.is_later_than(told, self._now()) and self._is_put_right(keys, known):
                return known
            if self._is_known(told) is False:
                return self._replaced(keys, known, told)
            if told.content == known.stamp.content:
                return known.confirmed(told)
        read = redis_copy.read_publication(self._redis, keys) if told else None
        if read is not None:
            return Snapshot(*read)
        snapshot = self._from_database(known)
        redis_copy.refill(self._redis, keys, snapshot.stamp, snapshot.published)
        return snapshot

    def _is_put_right(self, keys: Keys, known: Snapshot) -> bool:
        """Put the copy in memory in the place of an earlier one, as of a replica that was behind.

        Not unless the database knows the copy. False where it does not: it was restored, and the earlier one
        may be its own. Then that is read, as bodies are made by one process and not by each.
        """
        is_known = self._is_known(known.stamp, anew=True)
        if is_known:
            redis_copy.refill(self._redis, keys, known.stamp, known.published)
        return is_known is not False

    def _replaced(self, keys: Keys, known: Snapshot, told: Stamp) -> Snapshot:
        """Put the database's word in the place of what it does not know."""
        log.warning("Redis holds what the database does not know, serving from the database", run=told.run)
        snapshot = self._from_database(known)
        redis_copy.refill(self._redis, keys, snapshot.stamp, snapshot.published, instead_of=told.commit)
        return snapshot

    def _is_known(self, stamp: Stamp, *, anew: bool = False) -> bool | None:
        """Whether the database knows a commit; None where it does not answer in time.

        Its word on a commit holds for a while, unless `anew`: the database may be restored, or another may
        take its place, without a word in Redis. The first copy is served before: a process must answer before
        it has loaded what asks a database.
        """
        checked = self._checked if self._clock() < self._checked_until else None
        if not anew and checked is not None and (checked.run, checked.commit) == (stamp.run, stamp.commit):
            return True
        if self._clock() < self._judge_closed_until:
            return None
        try:
            is_known = in_background(lambda: self._ask_whether_known(stamp)).result(JUDGE_SECONDS)
        except (PricesError, FutureTimeoutError) as error:
            self._judge_closed_until = self._clock() + BREAKER_SECONDS * random.uniform(1, 2)
            log.debug("The database did not say whether it knows what is served", reason=repr(error))
            return None
        if is_known:
            self._checked = stamp
            self._checked_until = self._clock() + random.uniform(*KNOWN_SECONDS)
        return is_known

    def _from_database(self, known: Snapshot | None) -> Snapshot:
        stamp, published = self._ask_database(None if known is None else known.stamp)
        if published is None and known is not None:
            return known.confirmed(stamp)
        return Snapshot(stamp, cast("Publication", published))
