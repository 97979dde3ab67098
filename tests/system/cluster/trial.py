"""One fault done to a running cluster: what was there before it, and what must have come of it."""

import json
import time
from collections.abc import Container
from decimal import Decimal
from itertools import count
from typing import Any

from prices.store import queries
from prices.store.database import reading
from tests.system.cluster.cluster import Cluster
from tests.system.cluster.matrix import FaultRow
from tests.system.cluster.stored import assert_consistent, first_slug, schedules_ever

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
        self._slug = first_slug(cluster.services)
        first = Decimal(json.loads(schedules_ever(cluster.services, self._slug)[0])["prompt"])
        self._price = f"{first * (1000 + next(_numbers)) / 1000:f}"
        cluster.standin.forget()
        cluster.standin.answer(gate={"hold": True}, patch={self._slug: {"pricing.prompt": self._price}})
        if "beat" in cluster.nodes:
            cluster.make_stale_under_beat()
        else:
            cluster.make_stale()

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
        prices = [json.loads(text)["prompt"] for text in schedules_ever(self._cluster.services, self._slug)]
        assert prices.count(self._price) == 1
        assert prices[-1] == self._price
        assert_consistent(self._cluster.services)

    def row(self, group: str, fault: str, engine: str, happens: str) -> FaultRow:
        """What was measured, for the page of the fault matrix."""
        return FaultRow(group, fault, engine, happens, self._seconds, self._requests)

    def _has_recovered(self) -> bool:
        return self._state().revision > self._revision_before and self._cluster.published_is_current()

    def _state(self) -> queries.CatalogueState:
        with reading(self._cluster.services.engine) as connection:
            return queries.catalogue_state(connection)
