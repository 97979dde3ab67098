"""The task that refreshes the prices: a name, its options and one call."""

from functools import cache
from typing import Any

from celery import Task, shared_task

from prices import refresh
from prices.errors import PricesError
from prices.outcome import RefreshFailedError
from prices.services import Services
from tasks.retries import MAX_RETRIES, countdown


@cache
def services() -> Services:
    """Make this process's clients when its first task comes: after the pool has forked."""
    return Services.make(process="worker")


@shared_task(name="refresh_prices", bind=True, max_retries=MAX_RETRIES, throws=(PricesError,))
def refresh_prices(self: Task, *, force: bool = False) -> dict[str, Any]:
    """Refresh the prices if they are due; `force` passes over freshness, never over the claim.

    A failure is tried again later; a forced one is not, because somebody waits for the answer.
    """
    try:
        done = refresh.refresh_prices(
            services(),
            worker=str(self.request.hostname),
            task_id=self.request.id,
            attempt=self.request.retries,
            force=force,
            trust_marker=True,
        )
    except RefreshFailedError as failure:
        if force:
            raise
        raise self.retry(
            exc=failure, countdown=countdown(self.request.retries, failure.retry_after)
        ) from None
    return done.to_builtins()
