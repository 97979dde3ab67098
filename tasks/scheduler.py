"""The beat singleton: any number of beats may run, one leads, and the catalogue is their memory.

What is due follows from the last refresh in the database, not from a file on an ephemeral disk.
Extends celery.beat.Scheduler at its documented points:
https://docs.celeryq.dev/en/stable/reference/celery.beat.html
"""

import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import crontab
from celery.schedules import schedule as every

from prices import queries
from prices.database import reading, utc_now
from prices.errors import PricesError, RedisUnavailableError
from prices.freshness import next_due
from prices.lease import Lease, Renewal, make_token
from prices.liveness import Heart
from prices.logs import log, one_line
from prices.publication import publish_current
from prices.redis_client import BEAT_LEADER_KEY
from prices.services import Services


class Leadership:
    """Whether this beat leads: a lease in Redis. Without Redis each beat leads; the claim stands behind."""

    def __init__(self, services: Services, name: str) -> None:
        self._lease = Lease(
            services.redis, BEAT_LEADER_KEY, make_token(name), lease=services.settings.lock_lease
        )
        self._renew_every = services.settings.lock_lease.total_seconds() / 3
        self._renewed_at = 0.0
        self.leads = False

    def hold(self) -> bool:
        """Take or keep the lead; ask Redis no more often than a third of the lease."""
        if self.leads and time.monotonic() - self._renewed_at < self._renew_every:
            return True
        try:
            leads = self._keep() if self.leads else self._lease.take() is None
        except RedisUnavailableError:
            leads = True
        if leads != self.leads:
            log.info("Beat leads now" if leads else "Beat stands by", leader=leads)
        self.leads, self._renewed_at = leads, time.monotonic()
        return leads

    def _keep(self) -> bool:
        return self._lease.renew() is not Renewal.LOST

    def give_up(self) -> None:
        """Let another lead at once."""
        try:
            self._lease.release()
        except RedisUnavailableError as error:
            log.warning("The lead was left to expire", reason=str(error))


class PriceScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Sends the schedule's refresh when the database says that it is due, and nothing else."""

    def setup_schedule(self) -> None:
        """Take the entries from the configuration, and make this beat's clients."""
        self.merge_inplace(self.app.conf.beat_schedule)
        self.services = Services.make()
        name = f"celerybeat@{socket.gethostname()}:{os.getpid()}"
        self.leadership = Leadership(self.services, name)
        self.heart = Heart(self.services.redis, "beat", name)
        self.sent_at: datetime | None = None
        self._failing: set[str] = set()
        self._wait = 0.0

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Send what is due; give the seconds until the next look. Nothing that fails ends the process."""
        self._try("heartbeat", self.heart.beat)
        if not self.leadership.hold():
            return float(self.max_interval)
        self._try("publication", self._repair_publication)
        self._wait = float(self.max_interval)
        self._try("schedule", self._send_what_is_due)
        return max(self._wait, 0.1)

    def _try(self, part: str, act: Callable[[], None]) -> None:
        """Do one part of a tick; log once when it begins to fail, and once when it works again."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - the broker's driver decides what a refusal looks like
            if part not in self._failing:
                reason = f"{type(error).__name__}: {one_line(error)}"
                log.warning("Beat cannot do a part of its work, trying again", part=part, reason=reason)
            self._failing.add(part)
        else:
            if part in self._failing:
                log.info("Beat can do this part of its work again", part=part)
            self._failing.discard(part)

    def _send_what_is_due(self) -> None:
        for entry in self.schedule.values():
            self._wait = min(self._wait, self._send_if_due(entry))

    def _send_if_due(self, entry: ScheduleEntry) -> float:
        """Send the entry if it is due, and give the seconds until it is; only what was published is sent."""
        now, due = self._look(entry)
        if due is not None and due > now:
            return (due - now).total_seconds()
        self.apply_async(entry, producer=self.producer, advance=False)
        self.sent_at = now
        log.info("Sent the refresh that is due", task=entry.task)
        return float(self.max_interval)

    def _repair_publication(self) -> None:
        """Make good a publication that is missing or behind: Redis was away, or came back empty."""
        services = self.services
        publish_current(services.redis, services.engine, services.settings.markup)

    def _look(self, entry: ScheduleEntry) -> tuple[datetime, datetime | None]:
        """Ask the database for the time, and when the next refresh is due (None: at once)."""
        with reading(self.services.engine) as connection:
            now = utc_now(connection)
            refreshed_at = queries.catalogue_state(connection).refreshed_at
            run = queries.last_run(connection)
        tried = [at for at in (run and run.started_at, self.sent_at) if at]
        interval = self.services.settings.refresh_interval
        return now, next_due(refreshed_at, max(tried, default=None), interval, _ticks(entry.schedule))

    def close(self) -> None:
        """Let another lead, and say that this beat has ended."""
        self.leadership.give_up()
        try:
            self.heart.stop()
        except PricesError as error:
            log.debug("Beat's end could not be written", reason=str(error))
        super().close()

    @property
    def info(self) -> str:
        """Say at start-up what this scheduler is."""
        return "    . memory -> the price catalogue, one of many beats leads"


def _ticks(schedule: crontab | every) -> Callable[[datetime], datetime]:
    """Give a function that tells a Celery schedule's first tick after a time."""

    def tick_after(at: datetime) -> datetime:
        if isinstance(schedule, crontab):
            start, step, _now = schedule.remaining_delta(at)
            return cast("datetime", start + step).astimezone(UTC)
        return at + cast("timedelta", schedule.run_every)

    return tick_after
