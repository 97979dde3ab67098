"""When beat sends: what is due by the database, sent once, counted only when it was sent.

Knows nothing of Celery: the scheduler hands in how to send, and how to tell the schedule's ticks.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Row

from prices.beat.leader import Leadership
from prices.coordination.freshness import answer_within, fresh_for, next_send, unless_ahead
from prices.coordination.heartbeats import MOST_NAMED, Heart, who_lives
from prices.coordination.retries import again_at
from prices.errors import RedisUnavailableError, in_full
from prices.published.make import publish_state
from prices.runtime.logs import log
from prices.runtime.redis_client import redis_errors
from prices.services import Services
from prices.store import queries
from prices.store.database import reading

T = TypeVar("T")


class Seen(NamedTuple):
    """What one look at the database told."""

    state: queries.CatalogueState
    run: Row[Any] | None


class Timetable:
    """One beat's work, a look at a time. The catalogue is its memory; nothing that fails ends it."""

    def __init__(
        self,
        services: Services,
        name: str,
        send: Callable[[], None],
        tick_after: Callable[[datetime], datetime],
        longest_wait: float,
    ) -> None:
        self._services = services
        self._send = send
        self._tick_after = tick_after
        self._longest_wait = longest_wait
        self._leadership = Leadership(services, name)
        self._heart = Heart(services.redis, services.deployment, "beat", name, services.clock)
        self._sent_at: datetime | None = None
        self._failing: set[str] = set()
        self._wait = longest_wait
        self._was_blind = False
        self._has_others = False

    def look(self) -> float:
        """Send what is due, if this beat leads; give the seconds until the next look."""
        self._wait = self._longest_wait
        if self._services.deployment.known() is None and self._try("database", self._see) is None:
            return self._wait  # only the database can tell whose beat this is
        self._try("heartbeat", self._live)
        if self._leadership.hold():
            seen = self._try("database", self._see)
            if seen is not None:
                self._try("publication", lambda: self._repair_publication(seen))
                self._try("schedule", lambda: self._send_if_due(seen))
            self._was_blind = seen is None
        return max(self._wait, 0.1)

    def _live(self) -> None:
        """Say that this beat lives, and look who else does."""
        self._heart.beat()
        self._name_others()

    def _name_others(self) -> None:
        """Log once when processes of another deployment appear, and once when they are gone."""
        others = who_lives(self._services.redis, self._services.keys).others
        if bool(others) != self._has_others:
            self._has_others = bool(others)
            if others:
                log.error(
                    "Another deployment uses the same Redis; set PRICE_KEY_PREFIX for one of the two",
                    processes=", ".join(others[:MOST_NAMED]),
                )
            else:
                log.info("No other deployment uses this Redis any more")

    def end(self) -> None:
        """Let another lead, and say that this beat has ended."""
        self._try("leadership", self._leadership.give_up)
        self._try("heartbeat", self._heart.stop)

    def _try(self, part: str, act: Callable[[], T]) -> T | None:
        """Do one part of the work; log once when it begins to fail, and once when it works again.

        Give what came of it, None where it failed.
        """
        try:
            done = act()
        except Exception as error:  # noqa: BLE001 - the broker's driver decides what a refusal looks like
            if part not in self._failing:
                reason = f"{type(error).__name__}: {in_full(error)}"
                log.warning("Beat cannot do a part of its work, trying again", part=part, reason=reason)
            self._failing.add(part)
            return None
        if part in self._failing:
            log.info("Beat can do this part of its work again", part=part)
        self._failing.discard(part)
        return done

    def _see(self) -> Seen:
        """Ask the database for the time, the catalogue's state and the last run."""
        with reading(self._services.engine) as connection:
            seen = Seen(queries.catalogue_state(connection), queries.last_run(connection))
        self._services.deployment.learn(seen.state.deployment)
        return seen

    def _repair_publication(self, seen: Seen) -> None:
        """Make good a publication that is missing or behind: Redis was away, or came back empty."""
        publish_state(self._services, seen.state)

    def _send_if_due(self, seen: Seen) -> None:
        due, now = self._due(seen), seen.state.now
        if due is not None and due > now:
            self._wait = min(self._wait, (due - now).total_seconds())
        else:
            self._send()
            log.info("Sent the refresh that is due")
            self._note_sent(now)

    def _due(self, seen: Seen) -> datetime | None:
        settings, run, now = self._services.settings, seen.run, seen.state.now
        interval, lease = settings.refresh_interval, settings.lock_lease
        return next_send(
            unless_ahead(seen.state.refreshed_at, now, fresh_for(interval)),  # as `is_fresh` has it
            started_at=run and unless_ahead(run.started_at, now),
            again_at=run and again_at(run, lease, now),
            sent_at=self._last_sent_at(now),
            interval=interval,
            lease=lease,
            tick_after=self._tick_after,
        )

    def _last_sent_at(self, now: datetime) -> datetime | None:
        """When a message was last sent, by this beat or the leader before it.

        One that was sent before the database went away is not waited for: no run could answer it.
        """
        if self._was_blind:
            return None
        try:
            with redis_errors():
                noted_us = self._services.redis.get(self._services.keys.beat_sent)
        except RedisUnavailableError:
            noted_us = None  # another broker may be there all the same
        noted = _time_of(noted_us)
        sent = (unless_ahead(at, now) for at in (self._sent_at, noted))
        return max((at for at in sent if at is not None), default=None)

    def _note_sent(self, now: datetime) -> None:
        """Note that a message was sent, for this beat and, where the queue is, for the next leader."""
        self._sent_at = now
        services = self._services
        with redis_errors():
            lifetime = answer_within(services.settings.lock_lease)
            services.redis.set(services.keys.beat_sent, round(now.timestamp() * 1_000_000), px=lifetime)


def _time_of(microseconds: Any) -> datetime | None:
    """Read a time that a beat noted; what no beat wrote counts as none."""
    try:
        return None if microseconds is None else datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
