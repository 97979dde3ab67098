"""How everything here is measured: alternating rounds, so that a machine that drifts drifts for all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Act = Callable[[], object]
Unit = Literal["µs", "ms", "s", "per second", "leases", "MiB"]
_DECIMALS: Final[dict[Unit, int]] = {"µs": 0, "ms": 1, "s": 2, "per second": 0, "leases": 2, "MiB": 1}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what was done, its median, its ratio, and the commands to Redis that it took."""

    claim: str
    what: str
    median: float
    unit: Unit
    ratio: float
    commands: float | None

    def __str__(self) -> str:
        sent = "" if self.commands is None else f"{self.commands:.1f}".removesuffix(".0")
        median = f"{self.median:,.{_DECIMALS[self.unit]}f} {self.unit}"
        return f"| {self.claim} | {self.what} | {median} | {self.ratio:.2f} | {sent} |"


def alternate(
    claim: str,
    unit: Unit,
    measures: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    commands: Mapping[str, float] | None = None,
) -> list[Row]:
    """Take each measure once a round, in turn.

    A ratio is the median over the rounds of what each round's measure is to that round's first one.
    """
    taken: dict[str, list[float]] = {what: [] for what in measures}
    for _ in range(rounds):
        for what, measure in measures.items():
            taken[what].append(measure())
    floors = next(iter(taken.values()))
    return [
        Row(
            claim,
            what,
            statistics.median(values),
            unit,
            statistics.median(value / floor for value, floor in zip(values, floors, strict=True)),
            (commands or {}).get(what),
        )
        for what, values in taken.items()
    ]


def microseconds(act: Act, times: int) -> Callable[[], float]:
    """Give a measure: the mean time of an act, done `times` times.

    Few times and many rounds: a batch that another process interrupts is then one among many.
    """
    return lambda: 1_000_000 * _seconds(act, times) / times


def per_second(act: Act, times: int) -> Callable[[], float]:
    """Give a measure: how often an act can be done in a second, from `times` times."""
    return lambda: times / _seconds(act, times)


def _seconds(act: Act, times: int) -> float:
    act()  # whatever was measured before has left the caches cold
    began = time.perf_counter()
    for _ in range(times):
        act()
    return time.perf_counter() - began
