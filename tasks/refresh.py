"""The task that refreshes the prices: a name, its options and one call."""

from functools import cache
from typing import Any

from celery import Task, shared_task

from prices.errors import PricesError
from prices.refresh import story
from prices.refresh.outcome import Refresh
from prices.runtime.logs import log
from prices.services import Services
from tasks.messages import DEPLOYMENT


@cache
def services() -> Services:
    """Make this process's clients when its first task comes: after the pool has forked."""
    return Services.make(process="worker")


@shared_task(name="refresh_prices", bind=True, throws=(PricesError,))
def refresh_prices(self: Task, *, force: bool = False) -> dict[str, Any]:
    """Refresh the prices if they are due; `force` passes over freshness and waits, never over the claim.

    A message that another deployment's beat sent is refused: that beat sends another.
    Celery tries nothing again: what failed is sent for by beat, when the failed run's row says.
    """
    sender = self.request.get(DEPLOYMENT)
    if sender not in (None, services().keys.deployment):
        log.error(
            "Refused a message of another deployment that uses the same queue; set PRICE_KEY_PREFIX for one",
            deployment=sender,
        )
        return Refresh("skipped", "foreign").to_builtins()
    done = story.refresh_prices(
        services(),
        worker=str(self.request.hostname),
        task_id=self.request.id,
        force=force,
        trust_marker=True,
    )
    return done.to_builtins()
