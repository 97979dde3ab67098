"""One fault done to a running cluster: what was there before it, and what must have come of it."""

import time
from collections.abc import Container
from itertools import count
from typing import Any

from prices import queries
from prices.database import reading
from prices.language_model import LanguageModel
from prices.redis_client import FRESH_KEY
from tests.cluster.aftermath import assert_sound, is_published
from tests.cluster.cluster import Cluster
from tests.cluster.matrix import FaultRow

_numbers = count(1)


class Trial:
    """Begins with prices that are due and an upstream that holds its answer; one price in it is new."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._runs_before = len(cluster.runs())
        self._revision_before = self._state().revision
        self._clock = time.monotonic()
        self._seconds = 0.0
        self._requests = 0
        self._price = f"0.0000123{next(_numbers):04}1"  # nothing else costs that
        cluster.standin.forget()
        cluster.standin.answer(
            gate={"hold": True}, patch={self._first().slug: {"pricing.prompt": self._price}}
        )
        self._make_stale()

    def start_clock(self) -> None:
        """Measure the time to recovery from here on."""
        self._clock = time.monotonic()

    def runs(self) -> list[dict[str, Any]]:
        """The runs since the beginning, oldest first."""
        return self._cluster.runs()[self._runs_before :]

    def wait_until_recovered(self, within: float = 15) -> None:
        """Wait until the changed price is committed and published; note how long that took."""
        self._cluster.wait_until(self._has_recovered, "the new price is committed and published", within)
        self._seconds = time.monotonic() - self._clock

    def assert_refreshed(
        self, *, failed: Container[int] = (0,), requests: int = 1, given_up: int = 0
    ) -> None:
        """Assert that so many runs failed before one refreshed, what upstream saw, and what always holds.

        `requests` is how many bodies upstream sent whole, `given_up` how many requests were left before that.
        """
        *before, last = [run["outcome"] for run in self.runs()]
        assert last == "refreshed"
        assert set(before) <= {"failed"}
        assert len(before) in failed
        seen = self._cluster.standin.requests()
        assert (seen["completed"], seen["received"]) == (requests, requests + given_up)
        self._requests = requests
        assert self._state().revision == self._revision_before + 1
        assert self._first().schedule.base["prompt"].text == self._price
        assert is_published(self._cluster)
        assert_sound(self._cluster)

    def row(self, group: str, fault: str, engine: str, happens: str) -> FaultRow:
        """What was measured, for the page of the fault matrix."""
        return FaultRow(group, fault, engine, happens, self._seconds, self._requests)

    def _make_stale(self) -> None:
        redis = self._cluster.services.redis
        self._cluster.make_stale()
        if "beat" in self._cluster.nodes:  # which may have looked before, and call the prices fresh once more
            redis.set(FRESH_KEY, "0")
            self._cluster.wait_until(lambda: redis.get(FRESH_KEY) is None, "beat knows that they are not")

    def _has_recovered(self) -> bool:
        return self._state().revision > self._revision_before and is_published(self._cluster)

    def _state(self) -> queries.CatalogueState:
        with reading(self._cluster.services.engine) as connection:
            return queries.catalogue_state(connection)

    def _first(self) -> LanguageModel:
        """The model that upstream lists first."""
        with reading(self._cluster.services.engine) as connection:
            return queries.current_prices(connection)[0].model
