"""Schedules: the base price of each dimension, and the overrides that replace it by size or by the hour.

Source of the rules: the pricing object and its overrides, https://openrouter.ai/docs/guides/overview/models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import starmap
from typing import Any, TypeGuard

import msgspec

from prices.errors import PriceError
from prices.price import DIMENSIONS, Price, shown

STALE_MINUTES = 62
"""How old a list can be when it is received: `max-age=120, stale-while-revalidate=3600`."""

WINDOW = ("utc_start", "utc_end")
CONDITIONS = ("min_prompt_tokens", *WINDOW)
REQUIRED = ("prompt", "completion")
UNSEEN = "unseen"
NO_DIMENSIONS = ("overrides", "discount", UNSEEN)
MAX_KEPT = 2048
"""How many schedules are kept by their texts: several lists of some hundred models."""
MAX_NAME = 64
"""A longer key is no dimension that anybody prices by, and has no place in a table."""


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


class PriceSchedule(msgspec.Struct, frozen=True, gc=False):
    """What a model costs: a base price per dimension, and overrides of which later entries win.

    `unseen` names the dimensions whose base a window has hidden for as long as we know the model: they have
    no price in `base`, and are unknown outside that window.
    """

    base: Mapping[str, Price]
    overrides: tuple[Override, ...] = ()
    unseen: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, pricing: Mapping[str, Any]) -> "PriceSchedule":
        """Read upstream's `pricing` object.

        Null is an absent price. A key of a kind we do not know (an object, a flag, a number that
        is no price such as `discount`) is no dimension and is passed over.
        Raises PriceError that names the key.
        """
        schedule = _read_pricing(pricing)
        for required in REQUIRED:
            if required not in schedule.base:
                raise PriceError(f"pricing.{required} is missing")
        return schedule

    @classmethod
    def from_json(cls, text: str) -> "PriceSchedule":
        """Read back what `to_json` wrote. Nobody changes what this gives: it is kept for who asks next."""
        return _kept.get(text) or _keep(text, _read_back(text))

    def to_json(self) -> str:
        """Write the schedule in upstream's shape with sorted keys: one text for one schedule."""
        whole: dict[str, Any] = {name: price.text for name, price in self.base.items()}
        if self.overrides:
            whole["overrides"] = [entry.to_builtins() for entry in self.overrides]
        if self.unseen:
            whole[UNSEEN] = sorted(self.unseen)
        text = _encode(whole).decode()
        if not self.overrides:  # whose order of keys another process would read back otherwise
            _keep(text, self)
        return text

    def seen_after(self, before: "PriceSchedule | None", at: datetime) -> "PriceSchedule":
        """Give what a list received at a UTC time tells of the schedule, after what was known `before`.

        Upstream writes the price of the window in force in the place of the base: such a price tells nothing
        of the base, so what we knew of it still holds.
        """
        if not self.overrides:
            return self
        base, unseen = dict(self.base), set()
        for name, price in self.base.items():
            if not self._is_of_a_window(name, price, at):
                continue
            if before and name in before.base:
                base[name] = before.base[name]
            else:
                unseen.add(name)
                del base[name]
        if base == self.base:
            return self
        return msgspec.structs.replace(self, base=base, unseen=frozenset(unseen))

    def _is_of_a_window(self, name: str, price: Price, at: datetime) -> bool:
        return any(
            (name, price.amount) in [(part, other.amount) for part, other in entry.prices]
            and entry.may_be_shown(at)
            for entry in self.overrides
        )

    @property
    def meaning_of_overrides(self) -> tuple[Any, ...]:
        """What two schedules must share to have the same overrides."""
        return tuple(
            (entry.conditions, tuple((name, price.amount) for name, price in entry.prices))
            for entry in self.overrides
        )


def _read_pricing(pricing: Mapping[str, Any]) -> PriceSchedule:
    base = {}
    for key, value in pricing.items():
        if key in NO_DIMENSIONS or value is None or isinstance(value, (dict, list, bool)):
            if key in REQUIRED and value is not None:
                raise PriceError(f"pricing.{key}: {shown(value)} is not a price")
            continue
        if not _is_name(key):
            continue
        if (price := _read(f"pricing.{key}", value, key in DIMENSIONS)) is not None:
            base[key] = price
    entries = pricing.get("overrides") or []
    if not isinstance(entries, list):
        raise PriceError("pricing.overrides is not a list")
    overrides = tuple(_parse_override(index, entry) for index, entry in enumerate(entries))
    return PriceSchedule(dict(sorted(base.items())), overrides)


def _read_back(text: str) -> PriceSchedule:
    told = _decode(text)
    unseen = frozenset(told.pop(UNSEEN, ()))
    overrides = tuple(starmap(_parse_override, enumerate(told.pop("overrides", ()))))
    return PriceSchedule({name: Price.parse(price) for name, price in told.items()}, overrides, unseen)


_kept: dict[str, PriceSchedule] = {}
"""The schedules of texts read or written of late: what a refresh writes is what it publishes."""


def _keep(text: str, schedule: PriceSchedule) -> PriceSchedule:
    if len(_kept) >= MAX_KEPT and text not in _kept:
        _kept.clear()
    _kept[text] = schedule
    return schedule


_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def _is_name(key: str) -> bool:
    """Whether a key may name a dimension."""
    return len(key) <= MAX_NAME and key.isprintable()


def _read(place: str, value: object, required: bool) -> Price | None:
    """Read what must be a price or, where it is not required, may be one."""
    try:
        return Price.parse(value)
    except PriceError as error:
        if required:
            raise PriceError(f"{place}: {error}") from None
        return None


def _parse_override(index: int, entry: object) -> Override:
    if not isinstance(entry, dict):
        raise PriceError(f"pricing.overrides[{index}] is not an object")
    conditions, prices = [], []
    for key, value in sorted(entry.items()):
        if value is None:
            continue
        required = key in DIMENSIONS
        may_be_price = required or (key not in CONDITIONS and isinstance(value, str) and _is_name(key))
        price = _read(f"pricing.overrides[{index}].{key}", value, required) if may_be_price else None
        if price is None:
            conditions.append((key, value))
        else:
            prices.append((key, price))
    return Override(tuple(conditions), tuple(prices))
