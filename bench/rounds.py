"""How everything here is measured: alternating rounds, so that a machine that drifts drifts for all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what was done, its median in microseconds, and the ratio to the floor."""

    claim: str
    what: str
    microseconds: float
    ratio: float

    def __str__(self) -> str:
        return f"| {self.claim} | {self.what} | {self.microseconds:,.0f} | {self.ratio:.2f} |"


def compare(
    claim: str, acts: Mapping[str, Callable[[], object]], *, rounds: int = 9, times: int = 200
) -> list[Row]:
    """Time each act `times` times a round, in turn; the first named is the floor."""
    taken: dict[str, list[float]] = {what: [] for what in acts}
    for act in acts.values():
        act()  # connections, scripts and caches are warm
    for _ in range(rounds):
        for what, act in acts.items():
            began = time.perf_counter()
            for _ in range(times):
                act()
            taken[what].append((time.perf_counter() - began) / times * 1_000_000)
    medians = {what: statistics.median(spans) for what, spans in taken.items()}
    floor = next(iter(medians.values()))
    return [Row(claim, what, median, median / floor) for what, median in medians.items()]
