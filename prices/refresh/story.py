"""The story of a refresh: claim, fetch, decide, commit, publish, release."""

import time
from dataclasses import asdict, dataclass
from datetime import timedelta

from prices.catalogue.guards import Guards
from prices.coordination.freshness import fresh_for
from prices.coordination.runs import Attempt, Busy, Fresh, Waiting
from prices.errors import PricesError, UpstreamError, in_full, one_line
from prices.published.make import publish_current, publish_state
from prices.refresh.claim import Claim
from prices.refresh.claiming import claim
from prices.refresh.commit import MAX_NAMED_ROWS, commit, confirm
from prices.refresh.failure import close_failed, reason_of, wait_of
from prices.refresh.outcome import Refresh, RefreshFailedError
from prices.refresh.receive import Progress, receive, take_given
from prices.refresh.stash import Stash
from prices.runtime.logs import bind_context, log
from prices.services import Services
from prices.store.queries import CatalogueState
from prices.upstream.model_list import OpenRouterList, parse
from prices.upstream.received import Receipt, Received


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a refresh beside its attempt."""

    accept_held: bool
    given: Received | None
    progress: Progress


def refresh_prices(
    services: Services,
    *,
    worker: str,
    task_id: str | None = None,
    force: bool = False,
    trust_marker: bool = False,
    accept_held: bool = False,
    given: Received | None = None,
    progress: Progress = lambda _step: None,
) -> Refresh:
    """Refresh the prices if they are due and nobody else does.

    `force` passes over freshness and over the wait after a failure, never over the claim; `trust_marker` lets
    the mark in Redis stand for the database's word on freshness. `accept_held` believes at once what the
    guards would hold, and what they hold already. `given` is a body with its time, used instead of a fetch
    and published by the caller. `progress` is told each step.
    Raises RefreshFailedError, after the run's row was closed with the reason.
    """
    began = time.monotonic()
    attempt = Attempt(worker, task_id, forced=force)
    with bind_context(worker=worker, **({"task_id": task_id} if task_id else {})):
        try:
            progress("claiming")
            with claim(services, attempt, trust_marker=trust_marker) as claimed:
                if isinstance(claimed, Busy):
                    age = claimed.since.total_seconds() if claimed.since else None
                    return Refresh("skipped", "held", holder=claimed.holder, age_seconds=age)
                if isinstance(claimed, Fresh):
                    if claimed.state:
                        publish(services, claimed.state)
                    age = None if claimed.age is None else claimed.age.total_seconds()
                    return Refresh("skipped", "fresh", revision=claimed.revision, age_seconds=age)
                if isinstance(claimed, Waiting):
                    log.info(
                        "Price update waits after a failure", until=claimed.until, failure=claimed.reason
                    )
                    return Refresh(
                        "skipped",
                        "waiting",
                        retry_at=claimed.until.isoformat(),
                        last_failure=claimed.reason,
                    )
                with bind_context(run_id=claimed.run_id):
                    asked = _Asked(accept_held, given, progress)
                    return _run(services, claimed, asked, began)
        except RefreshFailedError:
            raise
        except PricesError as error:
            log.error("Price update failed", reason=in_full(error))
            raise RefreshFailedError(one_line(error)) from error


def _run(services: Services, claimed: Claim, asked: _Asked, began: float) -> Refresh:
    """Fetch, decide, commit and publish under a claim; close the run's row whatever happens."""
    stash = _stash(services, claimed)
    receipt = None
    try:
        if asked.given:
            body, receipt = take_given(asked.given, claimed.state)
        else:
            body, receipt = receive(services, stash, claimed, asked.progress)
        asked.progress("deciding")
        listed = None if body is None else _parse(body)
        del body  # a large list is there once in memory, not twice
        asked.progress("committing")
        claimed.check()
        if listed is None:
            committed = confirm(services.engine, claimed.run_id, receipt)
        else:
            guards = _guards(services, asked)
            committed = commit(services.engine, claimed.run_id, listed, receipt, guards)
    except BaseException as error:
        meant, reason = isinstance(error, PricesError), reason_of(error)
        unknown = not meant and isinstance(error, Exception)
        log.error("Price update failed", reason=in_full(error) if meant else reason, exc_info=unknown)
        if not asked.given and _is_body_at_fault(error, receipt):
            stash.reject(claimed.run_id)
        wait = timedelta(0) if asked.given else wait_of(services, error, claimed.failed_before)
        retry_at = close_failed(services, claimed.run_id, reason, wait)
        if not isinstance(error, Exception):
            raise
        failed = Refresh(
            "failed",
            reason,
            claimed.run_id,
            retry_at=retry_at,
            degraded=claimed.degraded,
            seconds=_since(began),
        )
        raise RefreshFailedError(reason, failed) from error
    del listed
    if not asked.given:
        stash.forget(claimed.run_id)
        asked.progress("publishing")
        publish(services, committed.state if claimed.holds() else None)
    done = Refresh(
        "refreshed",
        run_id=claimed.run_id,
        degraded=claimed.degraded,
        seconds=_since(began),
        **asdict(committed.counts),
    )
    log.info("Cluster-coordinated price update completed", **done.to_builtins())
    return done


def _stash(services: Services, claimed: Claim) -> Stash:
    settings = services.settings
    redis, keys = None if claimed.degraded else services.redis, services.keys
    lifetime, readable = fresh_for(settings.refresh_interval), not claimed.attempt.forced
    return Stash(redis, services.engine, settings.upstream_url, lifetime, keys=keys, readable=readable)


def _guards(services: Services, asked: _Asked) -> Guards | None:
    if asked.accept_held:
        return None
    settings = services.settings
    return Guards(settings.guard_factor, settings.guard_loss, settings.guard_growth)


def _is_body_at_fault(error: BaseException, receipt: Receipt | None) -> bool:
    """Whether no later run could use the body either.

    It is no price list, or it failed for the second time and nobody knows why: a fetch may help.
    """
    unknown = isinstance(error, Exception) and not isinstance(error, PricesError)
    return receipt is not None and (isinstance(error, UpstreamError) or (unknown and receipt.at is not None))


def _parse(body: bytes) -> OpenRouterList:
    listed = parse(body)
    for row in listed.skipped[:MAX_NAMED_ROWS]:
        log.warning("A row of upstream's list was skipped", row=str(row))
    if count := listed.dropped.count:
        log.warning("Fields of upstream's list were dropped", count=count, fields=listed.dropped.named)
    return listed


def publish(services: Services, state: CatalogueState | None = None) -> None:
    """Publish what is committed; what cannot be published now is made good by the next run or reader.

    `state` is what the catalogue is, where that is known.
    """
    try:
        if state is None:
            publish_current(services)
        else:
            publish_state(services, state)
    except PricesError as error:
        log.warning("The catalogue could not be published", reason=in_full(error))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
