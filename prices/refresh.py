"""The story of a refresh: claim, fetch, decide, commit, publish, release."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Engine

from prices import queries
from prices.claim import Claim, Held, claim
from prices.commit import MAX_NAMED_ROWS, commit
from prices.database import reading, utc_now, writing
from prices.errors import PricesError, UpstreamError, in_full, one_line
from prices.freshness import fresh_for
from prices.logs import bind_context, log
from prices.openrouter import OpenRouterList, parse
from prices.publication import publish_current
from prices.runs import Fresh, finish_run
from prices.services import Services
from prices.stash import Stash


@dataclass(frozen=True, slots=True)
class Refresh:
    """What came of an attempt to refresh; what makes no sense for the outcome is None."""

    outcome: Literal["refreshed", "skipped", "failed"]
    reason: str | None = None
    run_id: int | None = None
    revision: int | None = None
    models: int | None = None
    changes: int | None = None
    held: int | None = None
    skipped_rows: int | None = None
    holder: str | None = None
    age_seconds: float | None = None
    degraded: bool | None = None
    seconds: float | None = None

    def to_builtins(self) -> dict[str, Any]:
        """Give the result as a task or a command reports it, without absent keys."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class RefreshFailedError(PricesError):
    """A refresh failed; the text is the reason, `refresh` the whole result.

    `retry_after` is how many seconds upstream asked us to wait, 0 when it did not.
    """

    def __init__(self, reason: str, refresh: Refresh | None = None, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.refresh = refresh or Refresh("failed", reason=reason)
        self.retry_after = retry_after


Progress = Callable[[str], None]


def refresh_prices(
    services: Services,
    *,
    worker: str,
    task_id: str | None = None,
    attempt: int = 0,
    force: bool = False,
    trust_marker: bool = False,
    progress: Progress = lambda _step: None,
) -> Refresh:
    """Refresh the prices if they are due and nobody else does.

    `force` passes over freshness, never over the claim; `trust_marker` lets the mark in Redis stand for
    the database's word on freshness. `progress` is told each step.
    Raises RefreshFailedError, after the run's row was closed with the reason.
    """
    began = time.monotonic()
    with bind_context(worker=worker, **({"task_id": task_id} if task_id else {})):
        try:
            progress("claiming")
            with claim(
                services,
                worker=worker,
                task_id=task_id,
                attempt=attempt,
                force=force,
                trust_marker=trust_marker,
            ) as claimed:
                if isinstance(claimed, Held):
                    age = claimed.since.total_seconds() if claimed.since else None
                    return Refresh("skipped", "held", holder=claimed.holder, age_seconds=age)
                if isinstance(claimed, Fresh):
                    if not claimed.by_mark:
                        _publish(services)
                    age = claimed.age.total_seconds()
                    return Refresh("skipped", "fresh", revision=claimed.revision, age_seconds=age)
                with bind_context(run_id=claimed.run_id):
                    return _run(services, claimed, force, began, progress)
        except RefreshFailedError:
            raise
        except PricesError as error:
            log.error("Price update failed", reason=in_full(error))
            raise RefreshFailedError(one_line(error)) from error


def _run(services: Services, claimed: Claim, force: bool, began: float, progress: Progress) -> Refresh:
    """Fetch, decide, commit and publish under a claim; close the run's row whatever happens."""
    settings = services.settings
    stash = Stash(
        None if claimed.degraded else services.redis,
        services.engine,
        settings.upstream_url,
        fresh_for(settings.refresh_interval),
    )
    age = timedelta(0)
    try:
        body, age, fetch_seconds = _receive(services, stash, claimed, force, progress)
        progress("deciding")
        listed = _parse(stash, body)
        progress("committing")
        claimed.check()
        counts = commit(services.engine, claimed.run_id, listed, body, age, fetch_seconds)
    except BaseException as error:
        meant = isinstance(error, PricesError)
        reason = one_line(error) if meant else f"{type(error).__name__}: {one_line(error)}"
        log.error("Price update failed", reason=in_full(error) if meant else reason, exc_info=not meant)
        if age and not meant:
            stash.reject()  # the second failure on the same body, and nobody knows why: a fetch may help
        _close_failed(services.engine, claimed, reason)
        if not isinstance(error, Exception):
            raise
        failed = Refresh("failed", reason, claimed.run_id, degraded=claimed.degraded, seconds=_since(began))
        retry_after = error.retry_after if isinstance(error, UpstreamError) else 0.0
        raise RefreshFailedError(reason, failed, retry_after) from error
    stash.forget()
    progress("publishing")
    _publish(services)
    done = Refresh(
        "refreshed",
        run_id=claimed.run_id,
        degraded=claimed.degraded,
        seconds=_since(began),
        **asdict(counts),
    )
    log.info("Cluster-coordinated price update completed", **done.to_builtins())
    return done


def _receive(
    services: Services, stash: Stash, claimed: Claim, force: bool, progress: Progress
) -> tuple[bytes, timedelta, float]:
    """Use the body that an earlier run received and could not commit, or fetch one and stash it.

    Gives the body, how long ago it was received, and the seconds that the fetch took.
    """
    settings = services.settings
    with reading(services.engine) as connection:
        committed = queries.catalogue_state(connection).refreshed_run_id or 0
    if not force and (stashed := stash.get(committed)):
        body, age = stashed
        log.info("Using the body that an earlier run received", bytes=len(body), age=age.total_seconds())
        return body, age, 0.0

    def received(count: int) -> None:
        claimed.check()  # a holder that was stopped must not go on receiving beside its successor
        progress(f"fetching: {count // 1024} KiB received")

    claimed.check()
    progress("fetching")
    began = services.clock.monotonic()
    body = services.fetch(settings.upstream_url, settings.upstream_key, received)
    seconds = round(services.clock.monotonic() - began, 3)
    stash.put(claimed.run_id, body)
    return body, timedelta(0), seconds


def _parse(stash: Stash, body: bytes) -> OpenRouterList:
    try:
        listed = parse(body)
    except UpstreamError:
        stash.reject()
        raise
    for row in listed.skipped[:MAX_NAMED_ROWS]:
        log.warning("A row of upstream's list was skipped", row=str(row))
    return listed


def _publish(services: Services) -> None:
    """Publish what is committed; what cannot be published now is made good by the next run or reader."""
    try:
        publish_current(services.redis, services.engine, services.settings)
    except PricesError as error:
        log.warning("The catalogue could not be published", reason=in_full(error))


def _close_failed(engine: Engine, claimed: Claim, reason: str) -> None:
    try:
        with writing(engine) as connection:
            finish_run(connection, claimed.run_id, utc_now(connection), outcome="failed", reason=reason)
    except PricesError as error:
        log.error("The failed run's row could not be closed", reason=in_full(error))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
