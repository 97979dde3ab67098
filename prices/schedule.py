"""Schedules: the base price of each dimension, and the overrides that replace it by size or by the hour.

Source of the rules: the pricing object and its overrides, https://openrouter.ai/docs/guides/overview/models.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec

from prices.errors import PriceError
from prices.price import DIMENSIONS, Price, shown

CONDITIONS = ("min_prompt_tokens", "utc_start", "utc_end")


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
        return any(name in ("utc_start", "utc_end") for name, _ in self.conditions)

    def in_force(self, at: datetime) -> bool:
        """Whether a window is open at a UTC time: `[start, end)`, past midnight where the end is less."""
        told = dict(self.conditions)
        start, end = told.get("utc_start", 0), told.get("utc_end", 2400)
        if not (isinstance(start, int) and isinstance(end, int)):
            return True  # not a window that we can read: what stands above it may be its price
        clock = at.hour * 100 + at.minute
        return start <= clock < end if start <= end else clock >= start or clock < end

    def to_builtins(self) -> dict[str, Any]:
        """Give the entry in upstream's own flat shape."""
        return dict(self.conditions) | {name: price.text for name, price in self.prices}


@dataclass(frozen=True)
class PriceSchedule:
    """What a model costs: a base price per dimension, and overrides of which later entries win."""

    base: Mapping[str, Price]
    overrides: tuple[Override, ...] = ()

    @classmethod
    def parse(cls, pricing: Mapping[str, Any]) -> "PriceSchedule":
        """Read upstream's `pricing` object.

        Null is an absent price. A key of a kind we do not know (an object, a flag, a number that
        is no price such as `discount`) is no dimension and is passed over.
        Raises PriceError that names the key.
        """
        base = {}
        for key, value in pricing.items():
            if key in ("overrides", "discount") or value is None or isinstance(value, (dict, list, bool)):
                if key in ("prompt", "completion") and value is not None:
                    raise PriceError(f"pricing.{key}: {shown(value)} is not a price")
                continue
            try:
                base[key] = _parse_at(f"pricing.{key}", value)
            except PriceError:
                if key in DIMENSIONS:
                    raise
        for required in ("prompt", "completion"):
            if required not in base:
                raise PriceError(f"pricing.{required} is missing")
        entries = pricing.get("overrides") or []
        if not isinstance(entries, list):
            raise PriceError("pricing.overrides is not a list")
        overrides = tuple(_parse_override(index, entry) for index, entry in enumerate(entries))
        return cls(dict(sorted(base.items())), overrides)

    @classmethod
    def from_json(cls, text: str) -> "PriceSchedule":
        """Read back what `to_json` wrote."""
        return cls.parse(_decode(text))

    def to_json(self) -> str:
        """Write the schedule in upstream's shape with sorted keys: one text for one schedule."""
        whole: dict[str, Any] = {name: price.text for name, price in self.base.items()}
        if self.overrides:
            whole["overrides"] = [entry.to_builtins() for entry in self.overrides]
        return _encode(whole).decode()

    def seen_after(self, before: "PriceSchedule", at: datetime) -> "PriceSchedule":
        """Give the schedule without what a window hides, as seen at a UTC time after `before`.

        Upstream writes the price of the window in force in the place of the base: there, what we knew of
        the base before still holds.
        """
        hidden = {
            name
            for entry in self.overrides
            if entry.is_window and entry.in_force(at)
            for name, _ in entry.prices
        }
        kept = {name: price for name, price in before.base.items() if name in hidden and name in self.base}
        return replace(self, base={**self.base, **kept}) if kept else self

    @cached_property
    def meaning(self) -> tuple[Any, ...]:
        """What two schedules must share to be the same price."""
        base = tuple((name, price.amount) for name, price in sorted(self.base.items()))
        overrides = tuple(
            (entry.conditions, tuple((name, price.amount) for name, price in entry.prices))
            for entry in self.overrides
        )
        return base, overrides


_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def _parse_at(place: str, value: object) -> Price:
    try:
        return Price.parse(value)
    except PriceError as error:
        raise PriceError(f"{place}: {error}") from None


def _is_price(value: str) -> bool:
    try:
        Price.parse(value)
    except PriceError:
        return False
    return True


def _parse_override(index: int, entry: object) -> Override:
    if not isinstance(entry, dict):
        raise PriceError(f"pricing.overrides[{index}] is not an object")
    conditions, prices = [], []
    for key, value in sorted(entry.items()):
        if key in DIMENSIONS and value is not None:
            prices.append((key, _parse_at(f"pricing.overrides[{index}].{key}", value)))
        elif key not in CONDITIONS and isinstance(value, str) and _is_price(value):
            prices.append((key, Price.parse(value)))
        else:
            conditions.append((key, value))
    return Override(tuple(conditions), tuple(prices))
