"""Where the body of a refresh comes from: the stash, upstream, or the caller's hand."""

from collections.abc import Callable

from prices.errors import PricesError
from prices.refresh.claim import Claim
from prices.refresh.stash import Stash
from prices.runtime.logs import log
from prices.services import Services
from prices.store.queries import CatalogueState
from prices.upstream.download import fetch
from prices.upstream.received import Receipt, Received

Progress = Callable[[str], None]


def receive(
    services: Services, stash: Stash, claimed: Claim, progress: Progress
) -> tuple[bytes | None, Receipt]:
    """Use the body that an earlier run received and could not commit, or fetch one and stash it.

    Of one from which nothing can be learnt there is only the receipt.
    """
    settings, state = services.settings, claimed.state
    if stashed := stash.get(state):
        body, receipt = (None, stashed) if isinstance(stashed, Receipt) else (stashed.body, stashed.receipt)
        log.info("Using a body that was received before", bytes=receipt.size, at=receipt.at)
        return None if state.learns_nothing_from(receipt.digest, receipt.at) else body, receipt

    def received(count: int) -> None:
        claimed.check()  # a holder that was stopped must not go on receiving beside its successor
        progress(f"fetching: {count // 1024} KiB received")

    claimed.check()
    progress("fetching")
    began = services.clock.monotonic()
    body = (services.fetch or fetch)(settings.upstream_url, settings.upstream_authorization, received)
    seconds = round(services.clock.monotonic() - began, 3)
    receipt = Received(body, fetch_seconds=seconds).receipt
    if state.learns_nothing_from(receipt.digest, receipt.at):
        stash.mark(claimed.run_id, receipt.digest)
        return None, receipt
    stash.put(claimed.run_id, body)
    return body, receipt


def take_given(given: Received, state: CatalogueState) -> tuple[bytes | None, Receipt]:
    """Use a body that the caller has.

    Raises PricesError when the catalogue is newer: history has one direction.
    """
    if state.refreshed_at and given.at and given.at <= state.refreshed_at:
        raise PricesError(f"the catalogue is of {state.refreshed_at:%Y-%m-%d %H:%M:%S} UTC already")
    receipt = given.receipt
    return None if state.learns_nothing_from(receipt.digest, receipt.at) else given.body, receipt
