"""Overrides: prices that replace a schedule's base by size or by the hour.

Source of the rules: https://openrouter.ai/docs/guides/overview/models.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeGuard

from prices.errors import PriceError
from prices.price import DIMENSIONS, Price, is_name, read_price

STALE_MINUTES = 62
"""How old a list can be when it is received: `max-age=120, stale-while-revalidate=3600`."""

WINDOW = ("utc_start", "utc_end")
CONDITIONS = ("min_prompt_tokens", *WINDOW)


def is_number(value: object) -> TypeGuard[int | Decimal]:
    """Whether a condition's value is a number as JSON has it; upstream's schema allows 400.0 for 400."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Override:
    """Prices that replace the base where every condition holds.

    `min_prompt_tokens` is exceeded, or the UTC time lies in `[utc_start, utc_end)` (HHMM numbers,
    may wrap midnight). A condition that we do not know is kept, so that it still counts as meaning.
    """

    conditions: tuple[tuple[str, Any], ...]
    prices: tuple[tuple[str, Price], ...]

    @property
    def is_window(self) -> bool:
        """Whether this entry holds by the hour of the day."""
        return any(name in WINDOW for name, _ in self.conditions)

    def in_force(self, at: datetime) -> bool:
        """Whether a window is open at a UTC time: `[start, end)`, past midnight where the end is less."""
        told = dict(self.conditions)
        start, end = told.get("utc_start", 0), told.get("utc_end", 2400)
        if not (is_number(start) and is_number(end)):
            return True  # not a window that we can read: what stands above it may be its price
        clock = at.hour * 100 + at.minute
        return start <= clock < end if start <= end else clock >= start or clock < end

    def may_be_shown(self, at: datetime) -> bool:
        """Whether a list received at a UTC time may show this window's prices in the place of the base.

        Upstream lets caches answer with a list of up to an hour before (`stale-while-revalidate=3600`).
        """
        return self.is_window and any(
            self.in_force(at - timedelta(minutes=minutes)) for minutes in range(STALE_MINUTES + 1)
        )

    def to_builtins(self) -> dict[str, Any]:
        """Give the entry in upstream's own flat shape."""
        return dict(self.conditions) | {name: price.text for name, price in self.prices}


def parse_override(index: int, entry: object) -> Override:
    """Read an entry of upstream's `pricing.overrides`. Raises PriceError that names its place."""
    if not isinstance(entry, dict):
        raise PriceError(f"pricing.overrides[{index}] is not an object")
    conditions, prices = [], []
    for key, value in sorted(entry.items()):
        if value is None:
            continue
        may_be_price = key in DIMENSIONS or (
            key not in CONDITIONS and isinstance(value, str) and is_name(key)
        )
        price = read_price(f"pricing.overrides[{index}]", key, value) if may_be_price else None
        if price is None:
            conditions.append((key, value))
        else:
            prices.append((key, price))
    return Override(tuple(conditions), tuple(prices))
