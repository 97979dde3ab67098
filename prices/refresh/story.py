"""The story of a refresh: claim, fetch, decide, commit, publish, release."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from prices.catalogue.guards import Guards
from prices.coordination.freshness import fresh_for
from prices.coordination.runs import Fresh, Waiting
from prices.errors import PricesError, UpstreamError, in_full, one_line
from prices.published.make import publish_current, publish_state
from prices.published.packing import PackedAhead, pack_ahead
from prices.refresh.claim import Claim, Held, claim
from prices.refresh.commit import MAX_NAMED_ROWS, commit, confirm
from prices.refresh.failure import close_failed, reason_of, wait_of
from prices.refresh.outcome import Refresh, RefreshFailedError
from prices.refresh.shelf import GivenBody, Shelf
from prices.refresh.stash import Stash
from prices.runtime.logs import bind_context, log
from prices.services import Services
from prices.store.queries import CatalogueState
from prices.upstream.download import fetch
from prices.upstream.model_list import OpenRouterList, parse
from prices.upstream.received import Receipt, Received

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What kind of refresh was asked for."""

    force: bool
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
    with bind_context(worker=worker, **({"task_id": task_id} if task_id else {})):
        try:
            progress("claiming")
            with claim(
                services,
                worker=worker,
                task_id=task_id,
                force=force,
                trust_marker=trust_marker,
            ) as claimed:
                if isinstance(claimed, Held):
                    age = claimed.since.total_seconds() if claimed.since else None
                    return Refresh("skipped", "held", holder=claimed.holder, age_seconds=age)
                if isinstance(claimed, Fresh):
                    if claimed.state:
                        publish(services, claimed.state)
                    age = claimed.age.total_seconds()
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
                    asked = _Asked(force, accept_held, given, progress)
                    return _run(services, claimed, asked, began)
        except RefreshFailedError:
            raise
        except PricesError as error:
            log.error("Price update failed", reason=in_full(error))
            raise RefreshFailedError(one_line(error)) from error


def _run(services: Services, claimed: Claim, asked: _Asked, began: float) -> Refresh:
    """Fetch, decide, commit and publish under a claim; close the run's row whatever happens."""
    shelf = GivenBody(asked.given) if asked.given else _stash(services, claimed, asked)
    receipt, ahead = None, None
    try:
        body, receipt = _receive(services, shelf, claimed, asked)
        asked.progress("deciding")
        listed = None if body is None else _parse(body, shelf, claimed.run_id)
        del body  # a large list is there once in memory, not twice
        if listed and not asked.given:
            ahead = pack_ahead(listed, receipt.digest)
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
        if receipt and receipt.at and unknown:
            shelf.reject(
                claimed.run_id
            )  # the second failure on the same body, and nobody knows why: a fetch may help
        wait = timedelta(0) if asked.given else wait_of(services, error, claimed.attempt)
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
    shelf.forget(claimed.run_id)
    if not asked.given:
        asked.progress("publishing")
        publish(services, committed.state if claimed.holds() else None, ahead)
    done = Refresh(
        "refreshed",
        run_id=claimed.run_id,
        degraded=claimed.degraded,
        seconds=_since(began),
        **asdict(committed.counts),
    )
    log.info("Cluster-coordinated price update completed", **done.to_builtins())
    return done


def _stash(services: Services, claimed: Claim, asked: _Asked) -> Stash:
    settings = services.settings
    redis, keys = None if claimed.degraded else services.redis, services.keys
    lifetime, readable = fresh_for(settings.refresh_interval), not asked.force
    return Stash(redis, services.engine, settings.upstream_url, lifetime, keys=keys, readable=readable)


def _guards(services: Services, asked: _Asked) -> Guards | None:
    if asked.accept_held:
        return None
    settings = services.settings
    return Guards(settings.guard_factor, settings.guard_loss, settings.guard_growth)


def _receive(services: Services, shelf: Shelf, claimed: Claim, asked: _Asked) -> tuple[bytes | None, Receipt]:
    """Use the body that is there already, from a run that could not commit it, or fetch one and keep it.

    Of one from which nothing can be learnt there is only the receipt.
    """
    settings, state = services.settings, claimed.state
    if there := shelf.get(state):
        body, receipt = (None, there) if isinstance(there, Receipt) else (there.body, there.receipt)
        log.info("Using a body that was received before", bytes=receipt.size, at=receipt.at)
        return None if state.learns_nothing_from(receipt.digest, receipt.at) else body, receipt

    def received(count: int) -> None:
        claimed.check()  # a holder that was stopped must not go on receiving beside its successor
        asked.progress(f"fetching: {count // 1024} KiB received")

    claimed.check()
    asked.progress("fetching")
    began = services.clock.monotonic()
    body = (services.fetch or fetch)(settings.upstream_url, settings.upstream_authorization, received)
    seconds = round(services.clock.monotonic() - began, 3)
    receipt = Received(body, fetch_seconds=seconds).receipt
    if state.learns_nothing_from(receipt.digest, receipt.at):
        shelf.mark(claimed.run_id, receipt.digest)
        return None, receipt
    shelf.put(claimed.run_id, body)
    return body, receipt


def _parse(body: bytes, shelf: Shelf, run_id: int) -> OpenRouterList:
    try:
        listed = parse(body)
    except UpstreamError:
        shelf.reject(run_id)
        raise
    for row in listed.skipped[:MAX_NAMED_ROWS]:
        log.warning("A row of upstream's list was skipped", row=str(row))
    if count := listed.dropped.count:
        log.warning("Fields of upstream's list were dropped", count=count, fields=listed.dropped.named)
    return listed


def publish(
    services: Services, state: CatalogueState | None = None, ahead: PackedAhead | None = None
) -> None:
    """Publish what is committed; what cannot be published now is made good by the next run or reader.

    `state` is what the catalogue is, where that is known, `ahead` what was packed meanwhile.
    """
    try:
        if state is None:
            publish_current(services)
        else:
            publish_state(services, state, ahead)
    except PricesError as error:
        log.warning("The catalogue could not be published", reason=in_full(error))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
