"""A schedule as a grid: what holds for each size of prompt and at each time of the week, to the last digit.

Each format says as much of the grid as it can. Every cell is what `rates_at` gives, so that a format and a
cost never disagree, and every cell prices the same dimensions: where one has no price of its own in a cell,
it has there the price that it falls back to (`FALL_BACKS`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from prices.pricing.cost import EXTRAS, FALL_BACKS
from prices.pricing.override import Override, is_number
from prices.pricing.rates import rates_at
from prices.pricing.schedule import PriceSchedule

MAX_ANSWERS: Final = 5_000
"""How often a grid may ask whether an override holds, once per cell; what needs more is no price list."""
MAX_TOKENS: Final = 10**12
"""No prompt is larger."""
DAY: Final = 24 * 60
MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)

Amounts = Mapping[str, Decimal]
"""USD per unit by dimension."""
Steps = tuple[Amounts, ...]
"""The amounts at each size of the prompt."""


class Slot(NamedTuple):
    """A part of a week, in UTC: the day (0 is Monday), and minutes `[start, end)` of it."""

    day: int
    start: int
    end: int


class PriceGrid(msgspec.Struct, frozen=True, gc=False):
    """Amounts by the prompt tokens that are exceeded, of which the first is 0, and by time.

    `groups` are the times that have the same prices, the longest first; together they are the week. `at_most`
    are the amounts at each size at the dearest time, `most` those at the dearest size and time.
    """

    thresholds: tuple[int, ...]
    groups: tuple[tuple[Steps, tuple[Slot, ...]], ...]
    at_most: Steps
    most: dict[str, Decimal]

    def charges(self, dimension: str) -> bool:
        """Whether a dimension costs anything at any time."""
        return bool(self.most.get(dimension))


def price_grid(schedule: PriceSchedule) -> PriceGrid | None:
    """Give a schedule's grid; None where any price is dynamic or unknown at any time, or cannot be read.

    There is none either where it would take too long to make (`MAX_ANSWERS`).
    """
    sizes, minutes = _sizes(schedule.overrides), _minutes(schedule.overrides)
    by_day = any(entry.window and entry.window.days for entry in schedule.overrides)
    days = range(7 if by_day else 1)
    if len(days) * len(minutes) * len(sizes) * len(schedule.overrides) > MAX_ANSWERS:
        return None
    if any(entry.is_window and entry.window is None for entry in schedule.overrides):
        return None  # nobody can say when it is open
    columns: dict[Slot, list[dict[str, Decimal]]] = {}
    for day in days:
        for start, end in pairwise(minutes):
            at = MONDAY + timedelta(days=day, minutes=start)
            column = []
            for size in sizes:
                rates = rates_at(schedule, at, size + 1)
                if rates.undecided:
                    return None
                amounts = {name: price.amount for name, price in rates.prices.items()}
                column.append({name: amount for name, amount in amounts.items() if amount is not None})
                if len(column[-1]) < len(amounts):
                    return None
            columns[Slot(day, start, end)] = column
    _complete([amounts for column in columns.values() for amounts in column])
    kept = [0, *(n for n in range(1, len(sizes)) if any(c[n] != c[n - 1] for c in columns.values()))]
    groups: dict[tuple[tuple[tuple[str, Decimal], ...], ...], list[Slot]] = defaultdict(list)
    for slot, column in columns.items():
        steps = tuple(tuple(sorted(column[n].items())) for n in kept)
        groups[steps] += [slot] if by_day else [slot._replace(day=day) for day in range(7)]
    longest = sorted(groups.items(), key=lambda group: -length(group[1]))
    whole = tuple((tuple(map(dict, steps)), tuple(slots)) for steps, slots in longest)
    at_most = whole[0][0] if len(whole) == 1 else dearest_of(steps for steps, _ in whole)
    return PriceGrid(tuple(sizes[n] for n in kept), whole, at_most, dearest(at_most))


def dearest(cells: Iterable[Amounts]) -> dict[str, Decimal]:
    """Give the most that each dimension costs in any of the cells of one grid."""
    most: dict[str, Decimal] = {}
    for amounts in cells:
        for name, amount in amounts.items():
            most[name] = max(amount, most.get(name, amount))
    return most


def dearest_of(times: Iterable[Steps]) -> Steps:
    """Give the most that holds at each size at any of these times."""
    return tuple(dearest(cells) for cells in zip(*times, strict=True))


def effective(amounts: Amounts, dimension: str) -> Decimal:
    """Give what a dimension of tokens costs: its own price, or that which it falls back to."""
    return next(amounts[name] for name in (dimension, *FALL_BACKS[dimension]) if name in amounts)


def length(slots: Iterable[Slot]) -> int:
    """Give how many minutes a week they take."""
    return sum(slot.end - slot.start for slot in slots)


def hours(slots: Iterable[tuple[int, int]], *, wrap: bool) -> list[tuple[str, str]]:
    """Join minutes of one day to ranges of `HH:MM`; with `wrap` also over midnight. A day ends at `00:00`."""
    ranges: list[list[int]] = []
    for start, end in sorted(slots):
        if ranges and ranges[-1][1] == start:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    if wrap and len(ranges) > 1 and ranges[0][0] == 0 and ranges[-1][1] == DAY:
        ranges[-1][1] = ranges.pop(0)[1]
    return [(_clock(start), _clock(end)) for start, end in ranges]


def _clock(minute: int) -> str:
    return f"{minute % DAY // 60:02}:{minute % 60:02}"


def _sizes(overrides: Sequence[Override]) -> list[int]:
    values = (value for entry in overrides for name, value in entry.conditions if name == "min_prompt_tokens")
    return sorted({0, *(int(value) for value in values if is_number(value) and 1 <= value <= MAX_TOKENS)})


def _minutes(overrides: Sequence[Override]) -> list[int]:
    windows = [entry.window for entry in overrides if entry.window]
    clocks = {clock for window in windows for clock in (window.start, window.end)}
    return sorted({0, DAY, *(clock // 100 * 60 + min(clock % 100, 60) for clock in clocks)})


def _complete(cells: Sequence[dict[str, Decimal]]) -> None:
    """Give each cell the dimensions of all of them."""
    for amounts in cells:
        for name in EXTRAS & amounts.keys():
            if not amounts[name]:  # nothing beside the whole's price
                del amounts[name]
    names = {name for amounts in cells for name in amounts}
    for amounts in cells:
        amounts |= {
            name: effective(amounts, name) if name in FALL_BACKS else Decimal(0)
            for name in names - amounts.keys()
        }
