"""Schedules: the base price of each dimension, and the overrides that replace it by size or by the hour.

Source of the rules: the pricing object and its overrides, https://openrouter.ai/docs/guides/overview/models.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import starmap
from typing import Any

import msgspec

from prices.errors import PriceError
from prices.pricing.override import Override, parse_override
from prices.pricing.price import DIMENSIONS, Price, is_name, read_price, shown

REQUIRED = ("prompt", "completion")
UNSEEN = "unseen"
NO_DIMENSIONS = ("overrides", "discount", UNSEEN)
MAX_KEPT = 2048
"""How many schedules are kept by their texts: several lists of some hundred models."""


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
        hidden = self.hidden(at)
        if not hidden:
            return self
        base = {name: price for name, price in self.base.items() if name not in hidden}
        kept = {name: before.base[name] for name in hidden if before and name in before.base}
        whole = dict(sorted((base | kept).items()))
        return msgspec.structs.replace(self, base=whole, unseen=hidden - kept.keys())

    def hidden(self, at: datetime) -> frozenset[str]:
        """Name the dimensions whose base price a list received at a UTC time may not show."""
        return frozenset(name for name in self.base if any(self._windows_shown_for(name, at)))

    def hidden_until(self, at: datetime) -> datetime | None:
        """Give the first time after a UTC time at which the same list may show a price that it hides then.

        None where it hides nothing.
        """
        hiding = (entry for name in self.base for entry in self._windows_shown_for(name, at))
        return min((entry.may_be_shown_until(at) for entry in hiding), default=None)

    def _windows_shown_for(self, name: str, at: datetime) -> Iterator[Override]:
        """Give each window whose price may stand in the place of a dimension's base."""
        amount = self.base[name].amount
        for entry in self.overrides:
            named = (name, amount) in [(part, price.amount) for part, price in entry.prices]
            if named and entry.may_be_shown(at):
                yield entry

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
        if (key in DIMENSIONS or is_name(key)) and (price := read_price("pricing", key, value)) is not None:
            base[key] = price
    entries = pricing.get("overrides") or []
    if not isinstance(entries, list):
        raise PriceError("pricing.overrides is not a list")
    overrides = tuple(parse_override(index, entry) for index, entry in enumerate(entries))
    return PriceSchedule(dict(sorted(base.items())), overrides)


def _read_back(text: str) -> PriceSchedule:
    told = _decode(text)
    unseen = frozenset(told.pop(UNSEEN, ()))
    overrides = tuple(starmap(parse_override, enumerate(told.pop("overrides", ()))))
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
