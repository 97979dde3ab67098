"""Our own shape: what a model costs, in which state each price is, and what the model can do.

Amounts are decimal texts in USD: per token and per million tokens, or per request, image or search.
"""

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any

import msgspec

from prices.price import UNITS, Price
from prices.queries import CurrentPrice
from prices.schedule import PriceSchedule

MILLION = Decimal(1_000_000)
_EXACT = Context(prec=200)

BANDS = ((Decimal(1), "low"), (Decimal(5), "medium"), (Decimal(20), "high"))
"""Upper bounds, in USD per million tokens, of the mean of three prompt tokens and one completion token."""


def price_list(prices: Iterable[CurrentPrice], markup: Decimal, revision: int) -> bytes:
    """Write the whole list, a model an entry, in upstream's order."""
    return enveloped([msgspec.json.encode(price_entry(price, markup)) for price in prices], revision)


def enveloped(entries: list[bytes], revision: int) -> bytes:
    """Write entries, each JSON already, under `data`."""
    return b'{"revision":%d,"currency":"USD","data":[%b]}' % (revision, b",".join(entries))


def price_entry(current: CurrentPrice, markup: Decimal) -> dict[str, Any]:
    """Describe one model."""
    document = msgspec.json.decode(current.model.document)
    schedule = current.model.schedule
    return {
        "id": current.model.slug,
        "name": document.get("name") or current.model.slug,
        "context_length": document.get("context_length"),
        "prices": _dimensions(schedule.base, markup),
        "overrides": [
            {**dict(entry.conditions), "prices": _dimensions(dict(entry.prices), markup)}
            for entry in schedule.overrides
        ],
        "cost_band": cost_band(schedule),
        "flags": _flags(document, schedule),
        "valid_from": current.valid_from,
        "valid_to": None,
        "revision": current.revision_from,
        "held": None,
    }


def _dimensions(prices: Any, markup: Decimal) -> dict[str, Any]:
    return {name: _dimension(name, price, markup) for name, price in prices.items()}


def _dimension(name: str, price: Price, markup: Decimal) -> dict[str, Any]:
    unit = UNITS.get(name, "token")
    told: dict[str, Any] = {"state": price.state, "unit": unit}
    if price.amount is None:
        return told
    if unit != "token":
        return told | {"per_unit": price.text, "retail_per_unit": plain(_times(price.amount, markup))}
    return told | {
        "per_token": price.text,
        "per_million": plain(_times(price.amount, MILLION)),
        "retail_per_token": plain(_times(price.amount, markup)),
        "retail_per_million": plain(_times(price.amount, MILLION, markup)),
    }


def _times(amount: Decimal, *factors: Decimal) -> Decimal:
    """Multiply without rounding: Decimal alone keeps 28 digits."""
    for factor in factors:
        amount = _EXACT.multiply(amount, factor)
    return amount


def plain(amount: Decimal) -> str:
    """Write an amount without exponent and without trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cost_band(schedule: PriceSchedule) -> str:
    """Say roughly what a model costs: free, low, medium, high, premium, or dynamic."""
    prompt, completion = schedule.base["prompt"].amount, schedule.base["completion"].amount
    if prompt is None or completion is None:
        return "dynamic"
    blended = (3 * prompt + completion) / 4 * MILLION
    if blended == 0:
        return "free"
    return next((band for bound, band in BANDS if blended <= bound), "premium")


def _flags(document: dict[str, Any], schedule: PriceSchedule) -> dict[str, bool]:
    architecture = document.get("architecture")
    inputs = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    inputs = inputs if isinstance(inputs, list) else []
    parameters = document.get("supported_parameters")
    return {
        "free": all(price.amount == 0 for price in schedule.base.values()),
        "multimodal": any(kind != "text" for kind in inputs),
        "files": "file" in inputs,
        "reasoning": isinstance(parameters, list) and "reasoning" in parameters,
    }
