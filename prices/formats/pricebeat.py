"""Our own shape: what a model costs, in which state each price is, and what the model can do.

Amounts are decimal texts in USD: per token and per million tokens, or per request, image or search.
An override holds upstream's conditions as they came, numbers as numbers, and our `prices`; a condition that
upstream calls so, too, is `prices_` here.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from prices.catalogue.attributes import Attributes
from prices.catalogue.records import HeldPrice, PriceInterval, RecordedChange
from prices.pricing.bands import cost_band, is_free
from prices.pricing.override import Override
from prices.pricing.price import UNITS, Price, PriceState, plain, times
from prices.pricing.rates import rates_at
from prices.pricing.schedule import PriceSchedule

MILLION = Decimal(1_000_000)
DEFAULT_UNIT = "token"
"""What is priced by default."""
PRICES = "prices"

_TEXT = frozenset(("text",))


def price_list(
    prices: Iterable[PriceInterval], markup: Decimal, revision: int, at: datetime | None = None
) -> bytes:
    """Write a list of prices, a model an entry, in their order."""
    return enveloped([encoded_entry(price, markup, at) for price in prices], revision)


def enveloped(entries: list[bytes], revision: int) -> bytes:
    """Write entries, each JSON already, under `data`."""
    return b'{"revision":%d,"currency":"USD","data":[%b]}' % (revision, b",".join(entries))


def encoded_entry(price: PriceInterval, markup: Decimal, at: datetime | None = None) -> bytes:
    """Write what `price_entry` describes."""
    return _encode(price_entry(price, markup, at))


def price_entry(price: PriceInterval, markup: Decimal, at: datetime | None = None) -> dict[str, Any]:
    """Describe one model. With `at` also what was in force at that UTC time, windows applied."""
    schedule, attributes = price.schedule, price.attributes
    told = {
        "id": price.slug,
        "name": attributes.name,
        "context_length": attributes.context_length,
        **schedule_entry(schedule, markup),
        "cost_band": cost_band(schedule),
        "flags": _flags(attributes, schedule),
        "valid_from": price.valid_from,
        "valid_to": price.valid_to,
        "revision": price.revision,
        "held": price.held and _held(price.held, markup),
    }
    return told if at is None else told | {"in_force": _dimensions(rates_at(schedule, at, 0).known, markup)}


def price_history(intervals: list[PriceInterval], markup: Decimal, revision: int) -> bytes:
    """Write all that is known of one model's price, the earliest interval first."""
    last = intervals[-1]
    told = {
        "id": last.slug,
        "name": last.attributes.name,
        "listed": last.valid_to is None,
        "revision": revision,
        "currency": "USD",
        "data": [
            {
                "valid_from": price.valid_from,
                "valid_to": price.valid_to,
                "returned": before is not None and before.valid_to != price.valid_from,
                "revision": price.revision,
                **schedule_entry(price.schedule, markup),
            }
            for before, price in zip([None, *intervals], intervals, strict=False)
        ],
    }
    return _encode(told)


def change_list(changes: list[RecordedChange], since: int, more: bool) -> bytes:
    """Write changes in their order; `next` is the cursor to go on from."""
    data = [
        {
            "cursor": change.cursor,
            "id": change.slug,
            "kind": change.kind,
            "part": change.part,
            "before": _value(change, change.before),
            "after": _value(change, change.after),
            "at": change.at,
            "revision": change.revision,
            "reverts": change.reverts,
        }
        for change in changes
    ]
    return msgspec.json.encode({"data": data, "next": changes[-1].cursor if changes else since, "more": more})


def _value(change: RecordedChange, text: str | None) -> str | msgspec.Raw | None:
    """Give a price as its text, and anything else as the JSON that it is."""
    return msgspec.Raw(text.encode()) if text and change.is_json else text


def schedule_entry(schedule: PriceSchedule, markup: Decimal) -> dict[str, Any]:
    """Describe a schedule: the base price of each dimension, and the overrides."""
    prices = _dimensions(schedule.base, markup)
    for name in sorted(schedule.unseen):
        prices[name] = {"state": PriceState.UNKNOWN, "unit": UNITS.get(name, DEFAULT_UNIT)}
    return {
        PRICES: prices,
        "overrides": [
            {
                **{_condition_key(name): value for name, value in entry.conditions},
                PRICES: _dimensions(dict(entry.prices), markup),
            }
            for entry in schedule.overrides
        ],
    }


def schedule_of(entry: bytes) -> PriceSchedule:
    """Read back the schedule of an entry that `price_entry` described."""
    fields = _decode(entry)
    overrides = tuple(
        Override(
            tuple((_condition_name(key), value) for key, value in override.items() if key != PRICES),
            _read(override[PRICES]),
        )
        for override in fields["overrides"]
    )
    unseen = frozenset(name for name, price in fields[PRICES].items() if price["state"] == PriceState.UNKNOWN)
    return PriceSchedule(dict(_read(fields[PRICES])), overrides, unseen)


def _condition_key(name: str) -> str:
    """Keep upstream's conditions apart from our own key, whatever they are called."""
    return f"{name}_" if name.rstrip("_") == PRICES else name


def _condition_name(key: str) -> str:
    return key[:-1] if key.rstrip("_") == PRICES else key


def _read(dimensions: dict[str, Any]) -> tuple[tuple[str, Price], ...]:
    texts = {PriceState.DYNAMIC: "-1", PriceState.FREE: "0"}
    return tuple(
        (name, Price(texts.get(told["state"]) or told.get("per_token") or told["per_unit"]))
        for name, told in dimensions.items()
        if told["state"] != PriceState.UNKNOWN
    )


def _held(held: HeldPrice, markup: Decimal) -> dict[str, Any]:
    """Describe what upstream said and is not believed yet; no prices where the model had vanished."""
    told = schedule_entry(held.schedule, markup) if held.schedule else {PRICES: None, "overrides": []}
    return {"since": held.seen_at, "reason": held.reason, **told}


def _dimensions(prices: Mapping[str, Price], markup: Decimal) -> dict[str, Any]:
    describe = _describer(markup)
    return {name: describe(price.text, UNITS.get(name, DEFAULT_UNIT)) for name, price in prices.items()}


@lru_cache(maxsize=4)
def _describer(markup: Decimal) -> Callable[[str, str], dict[str, Any]]:
    """Give what describes a price; nobody changes what that gives, because many models share it."""

    @lru_cache(maxsize=4096)
    def describe(text: str, unit: str) -> dict[str, Any]:
        price = Price(text)
        told: dict[str, Any] = {"state": price.state.value, "unit": unit}
        if price.amount is None:
            return told
        retail = price.amount if markup == 1 else times(price.amount, markup)
        if unit != DEFAULT_UNIT:
            return told | {"per_unit": text, "retail_per_unit": plain(retail)}
        per_million = plain(times(price.amount, MILLION))
        return told | {
            "per_token": text,
            "per_million": per_million,
            "retail_per_token": plain(retail),
            "retail_per_million": per_million if markup == 1 else plain(times(retail, MILLION)),
        }

    return describe


def _flags(attributes: Attributes, schedule: PriceSchedule) -> dict[str, bool]:
    return {
        "free": is_free(schedule),
        "multimodal": not _TEXT.issuperset(attributes.inputs),
        "files": "file" in attributes.inputs,
        "reasoning": attributes.reasoning,
    }


_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
