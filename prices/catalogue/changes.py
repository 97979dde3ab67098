"""Pure: what changed between two states of a model, and of which kind each change is."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from prices.catalogue.attributes import Attributes
from prices.pricing.override import Override
from prices.pricing.price import Price
from prices.pricing.schedule import PriceSchedule

ROUNDING = Decimal("1e-6")
"""A relative move below this is noise of upstream's arithmetic, not another price."""

REVERTED_WITHIN = timedelta(hours=24)
"""A change that takes back one of the last so many hours names it."""


class ChangeKind(StrEnum):
    """What a change is. The feed passes over the quiet kinds unless they are asked for."""

    ADDED = "added"
    REMOVED = "removed"
    RETURNED = "returned"
    RAISED = "raised"
    LOWERED = "lowered"
    BECAME_FREE = "became_free"
    BECAME_PAID = "became_paid"
    BECAME_DYNAMIC = "became_dynamic"
    SCHEDULE = "schedule"
    DIMENSION_ADDED = "dimension_added"
    DIMENSION_REMOVED = "dimension_removed"
    ROUNDING = "rounding"
    ATTRIBUTES = "attributes"


OVERRIDES = "overrides"
"""The part of a schedule that is not a dimension."""
QUIET = frozenset((ChangeKind.ROUNDING, ChangeKind.ATTRIBUTES))


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change of a model: upstream's text of a price before and after, JSON of anything else.

    `part` is the dimension, "overrides" or the attribute; None where the model as a whole came or went.
    """

    kind: ChangeKind
    part: str | None = None
    before: str | None = None
    after: str | None = None

    def undoes(self, earlier: "Change") -> bool:
        """Whether this change takes the same thing back to what it was before an earlier one."""
        if self.part != earlier.part:
            return False
        if ChangeKind.REMOVED in (self.kind, earlier.kind):
            return self.kind is not earlier.kind
        return self.after == earlier.before or _worth(self.after) == _worth(earlier.before)


def price_changes(before: PriceSchedule, after: PriceSchedule) -> tuple[Change, ...]:
    """Name what is different between two schedules, by amounts: another text of one amount is no change.

    A base that a window hid before, or hides now, cannot be compared and makes no change.
    """
    changes = []
    for part in sorted({*before.base, *after.base} - before.unseen - after.unseen):
        old, new = before.base.get(part), after.base.get(part)
        if kind := _kind(old, new):
            changes.append(Change(kind, part, old.text if old else None, new.text if new else None))
    if before.overrides != after.overrides and before.meaning_of_overrides != after.meaning_of_overrides:
        kind = ChangeKind.ROUNDING if _only_rounded(before, after) else ChangeKind.SCHEDULE
        changes.append(Change(kind, OVERRIDES, _json_of(before.overrides), _json_of(after.overrides)))
    return tuple(changes)


def attribute_changes(before: Attributes, after: Attributes) -> tuple[Change, ...]:
    """Name what is different between two sets of attributes."""
    return tuple(
        Change(ChangeKind.ATTRIBUTES, name, _json(old), _json(new))
        for name in Attributes.__struct_fields__
        if (old := getattr(before, name)) != (new := getattr(after, name))
    )


def moves(before: PriceSchedule, after: PriceSchedule) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Give each price that both schedules name and that is an amount in both: place, before and after."""
    for part, old in before.base.items():
        new = after.base.get(part)
        if new and old.amount is not None and new.amount is not None:
            yield part, old.amount, new.amount
    for entry, other in _paired(before, after):
        for part, old in entry.prices:
            new = dict(other.prices).get(part)
            if new and old.amount is not None and new.amount is not None:
                yield f"{part} of an override", old.amount, new.amount


def _kind(old: Price | None, new: Price | None) -> ChangeKind | None:
    if old is None or new is None:
        return ChangeKind.DIMENSION_ADDED if new else ChangeKind.DIMENSION_REMOVED if old else None
    if old.amount == new.amount:
        return None
    if new.amount is None:
        return ChangeKind.BECAME_DYNAMIC
    if new.amount == 0:
        return ChangeKind.BECAME_FREE
    if not old.amount:
        return ChangeKind.BECAME_PAID
    if abs(new.amount - old.amount) < ROUNDING * old.amount:
        return ChangeKind.ROUNDING
    return ChangeKind.RAISED if new.amount > old.amount else ChangeKind.LOWERED


def _paired(before: PriceSchedule, after: PriceSchedule) -> list[tuple[Override, Override]]:
    """Give the overrides of two schedules that stand under the same conditions.

    Of several under equal conditions the last is in force: so the last is paired with the last.
    """
    others: dict[str, list[Override]] = {}
    for entry in after.overrides:
        others.setdefault(_json(entry.conditions), []).append(entry)
    backwards = [
        (entry, same.pop())
        for entry in reversed(before.overrides)
        if (same := others.get(_json(entry.conditions)))
    ]
    return backwards[::-1]


def _only_rounded(before: PriceSchedule, after: PriceSchedule) -> bool:
    """Whether the overrides are the same rules with prices that moved by rounding at most."""
    if [entry.conditions for entry in before.overrides] != [entry.conditions for entry in after.overrides]:
        return False
    pairs = zip(before.overrides, after.overrides, strict=True)
    return all(
        dict(old.prices).keys() == dict(new.prices).keys()
        and all(
            _kind(price, dict(new.prices)[part]) in (None, ChangeKind.ROUNDING) for part, price in old.prices
        )
        for old, new in pairs
    )


def _json_of(overrides: tuple[Override, ...]) -> str:
    return _json([entry.to_builtins() for entry in overrides])


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _worth(text: str | None) -> Decimal | str | None:
    """Give the amount that a text stands for, or the text where it is none."""
    try:
        return Decimal(text) if text is not None else None
    except ArithmeticError:
        return text
