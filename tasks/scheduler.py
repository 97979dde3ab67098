"""The beat singleton as Celery runs it: `celery -A tasks beat`.

Extends celery.beat.Scheduler at its documented points (`setup_schedule`, `tick`, `close`):
https://docs.celeryq.dev/en/stable/reference/celery.beat.html
"""

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from celery.beat import Scheduler
from celery.result import denied_join_result
from celery.schedules import crontab
from celery.schedules import schedule as every

from prices.beat.timetable import Timetable
from prices.services import Services
from tasks.messages import DEPLOYMENT
from tasks.sending import BackgroundSending


class PriceScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Sends the schedule's one entry when the database says that it is due, and nothing else."""

    def setup_schedule(self) -> None:
        """Take the entry from the configuration, and make this beat's clients."""
        self.merge_inplace(self.app.conf.beat_schedule)
        (self._entry,) = self.schedule.values()
        self._services = services = Services.make(process="beat")
        lease = services.settings.lock_lease
        # A leader that looks less often than it must renew would lose the lead between two looks.
        longest_wait = min(float(self.app.conf.beat_max_loop_interval), lease.total_seconds() / 3)
        self._timetable = Timetable(
            services,
            f"celerybeat@{socket.gethostname()}:{os.getpid()}",
            send=BackgroundSending(self._send, longest_wait),
            tick_after=_tick_after(self._entry.schedule),
            longest_wait=longest_wait,
        )

    def _send(self) -> None:
        """Publish by a producer of the pool, within the bounds of `task_publish_retry_policy`.

        Celery's own `producer` waits for the broker without end. Nobody here waits for the result, so no
        connection is opened to hear of it.
        """
        self._entry.options["headers"] = {DEPLOYMENT: self._services.keys.deployment}
        with denied_join_result():
            self.apply_async(self._entry, advance=False)

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Send what is due; give the seconds until the next look."""
        return self._timetable.look()

    def close(self) -> None:
        """Let another lead, and say that this beat has ended."""
        self._timetable.end()
        super().close()

    @property
    def info(self) -> str:
        """Say at start-up what this scheduler is."""
        return "    . memory -> the price catalogue, one of many beats leads"


def _tick_after(schedule: crontab | every) -> Callable[[datetime], datetime]:
    """Give a function that tells a Celery schedule's first tick after a time."""

    def tick_after(at: datetime) -> datetime:
        if isinstance(schedule, crontab):
            start, step, _now = schedule.remaining_delta(at)
            return cast("datetime", start + step).astimezone(UTC)
        return at + cast("timedelta", schedule.run_every)

    return tick_after
