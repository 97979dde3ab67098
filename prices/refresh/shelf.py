"""Where a refresh finds a body that nobody has to fetch: received by an earlier run, or given by hand."""

from dataclasses import dataclass
from typing import Protocol

from prices.errors import PricesError
from prices.store.queries import CatalogueState
from prices.upstream.received import Receipt, Received


class Shelf(Protocol):
    """Where a refresh looks for a body before it fetches one, and keeps the one that it fetched."""

    def get(self, state: CatalogueState) -> Received | Receipt | None:
        """Give a body that is not committed yet; its receipt alone where the catalogue is what it says."""
        ...

    def put(self, run_id: int, body: bytes) -> None:
        """Keep a body until it is committed."""
        ...

    def mark(self, run_id: int, digest: str) -> None:
        """Keep that a body was received which the catalogue is already."""
        ...

    def forget(self, run_id: int) -> None:
        """Forget a body that the run has committed; what a later one received stays."""
        ...

    def reject(self, run_id: int) -> None:
        """Forget a body that the run found to be no price list; what a later one received stays."""
        ...


@dataclass(frozen=True, slots=True)
class GivenBody:
    """A shelf with one body, which its owner keeps: nothing is fetched."""

    received: Received

    def get(self, state: CatalogueState) -> Received:
        """Give the body. Raises PricesError when the catalogue is newer: history has one direction."""
        if state.refreshed_at and self.received.at and self.received.at <= state.refreshed_at:
            raise PricesError(f"the catalogue is of {state.refreshed_at:%Y-%m-%d %H:%M:%S} UTC already")
        return self.received

    def put(self, run_id: int, body: bytes) -> None:
        """Nothing is kept."""

    def mark(self, run_id: int, digest: str) -> None:
        """Nothing is kept."""

    def forget(self, run_id: int) -> None:
        """Nothing is kept."""

    def reject(self, run_id: int) -> None:
        """Nothing is kept."""
