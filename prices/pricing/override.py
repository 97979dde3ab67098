"""Overrides: prices that replace a schedule's base by size or by the hour.

Source of the rules: https://openrouter.ai/docs/guides/overview/models.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeGuard

from prices.errors import PriceError
from prices.pricing.price import DIMENSIONS, Price, is_name, read_price

STALE_MINUTES = 62
"""How old a list can be when it is received: `max-age=120, stale-while-revalidate=3600`."""

WINDOW = ("utc_days", "utc_start", "utc_end")
CONDITIONS = ("min_prompt_tokens", *WINDOW)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MIDNIGHT = 2400
"""The end of a day as a condition writes it (HHMM)."""


class Window(NamedTuple):
    """When a price holds: hours `[start, end)` in HHMM, and UTC weekdays, of which none means every day."""

    start: int
    end: int
    days: tuple[str, ...] = ()


def is_number(value: object) -> TypeGuard[int | Decimal]:
    """Whether a condition's value is a number as JSON has it; upstream's schema allows 400.0 for 400."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Override:
    """Prices that replace the base where every condition holds.

    `min_prompt_tokens` is exceeded, the UTC time lies in `[utc_start, utc_end)` (HHMM numbers, may wrap
    midnight), or the UTC weekday of that instant is one of `utc_days`. A condition of another name or shape
    is kept, so that it still counts as meaning.
    """

    conditions: tuple[tuple[str, Any], ...]
    prices: tuple[tuple[str, Price], ...]

    @property
    def is_window(self) -> bool:
        """Whether this entry holds by the hour or the day."""
        return any(name in WINDOW for name, _ in self.conditions)

    @property
    def window(self) -> Window | None:
        """When this entry holds; None where it has no such condition, or one that cannot be read."""
        hours, days = self._hours, self._days
        return None if not self.is_window or hours is None or days is None else Window(*hours, days)

    def is_open(self, at: datetime) -> bool | None:
        """Whether the hour and weekday of a UTC time are within the window; None where that cannot be read.

        The end is not within it. Where the end is less than the start, the window wraps midnight, and the
        weekday is still that of the instant.
        """
        hours, days = self._hours, self._days
        day = None if days is None else not days or DAYS[at.weekday()] in days
        hour = None if hours is None else _is_between(at.hour * 100 + at.minute, *hours)
        if day is False or hour is False:
            return False
        return None if day is None or hour is None else True

    def may_be_shown(self, at: datetime) -> bool:
        """Whether a list received at a UTC time may show this window's prices in the place of the base.

        Upstream lets caches answer with a list of up to an hour before (`stale-while-revalidate=3600`). What
        stands above a window that cannot be read may always be its price.
        """
        return self.is_window and any(
            self.is_open(at - timedelta(minutes=minutes)) is not False for minutes in range(STALE_MINUTES + 1)
        )

    def may_be_shown_until(self, at: datetime) -> datetime:
        """Give the first time after a UTC time at which a list may no longer show this window's prices.

        It is the time itself for a window that cannot be read.
        """
        window = self.window
        if window is None:
            return at
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        ends = (
            midnight + timedelta(days=day, hours=end // 100, minutes=end % 100 + STALE_MINUTES)
            for day in (-1, 0, 1)
            for end in (window.end, MIDNIGHT)
        )
        return min(end for end in ends if end > at)

    @property
    def _hours(self) -> tuple[int, int] | None:
        conditions = dict(self.conditions)
        start, end = conditions.get("utc_start", 0), conditions.get("utc_end", MIDNIGHT)
        return (int(start), int(end)) if _is_hour(start) and _is_hour(end) else None

    @property
    def _days(self) -> tuple[str, ...] | None:
        days = dict(self.conditions).get("utc_days")
        if days is None:
            return ()
        readable = isinstance(days, list) and days and all(day in DAYS for day in days)
        return tuple(days) if readable else None

    def to_builtins(self) -> dict[str, Any]:
        """Give the entry in upstream's own flat shape."""
        return dict(self.conditions) | {name: price.text for name, price in self.prices}


def _is_hour(value: object) -> TypeGuard[int | Decimal]:
    return is_number(value) and 0 <= value <= MIDNIGHT and value == int(value)


def _is_between(clock: int, start: int, end: int) -> bool:
    return start <= clock < end if start <= end else clock >= start or clock < end


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
