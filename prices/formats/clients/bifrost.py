"""Bifrost's pricing sheet (`framework.pricing.pricing_url`): LiteLLM's keys, with `provider`.

What LiteLLM's map has no row for, this has none for. Bifrost reads three tiers alone, above 128,000, 200,000
and 272,000 prompt tokens, and prices of the cache above the last two only: what holds anywhere from one of
these sizes to the next stands there at its dearest. It reads no windows of hours: prices stand at the
dearest time.

Source: `framework/modelcatalog/datasheet/types.go` of Bifrost.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from prices.formats.clients.litellm import (
    PROVIDER,
    TIERED,
    can_say,
    flat_prices,
    limits_and_abilities,
    tier_key,
)
from prices.formats.format import JSON, CurrentModel, Format, number
from prices.pricing.grid import Amounts, PriceGrid, dearest

_SIDES: Final = ("prompt", "completion")
_READ_AND_WRITE: Final = (*_SIDES, "input_cache_read", "input_cache_write")
TIERS: Final[Mapping[int, Sequence[str]]] = {
    128_000: _SIDES,
    200_000: (*_READ_AND_WRITE, "input_cache_write_1h"),
    272_000: _READ_AND_WRITE,
}
"""What may be priced above each size."""


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the sheet."""
    rows = {
        f"{PROVIDER}/{model.price.slug}": {"provider": PROVIDER}
        | limits_and_abilities(model)
        | _prices(model.grid)
        for model in models
        if model.grid is not None and can_say(model.grid)
    }
    return msgspec.json.encode(rows)


FORMAT: Final = Format("bifrost", "/bifrost.json", JSON, write)


def _prices(grid: PriceGrid) -> dict[str, Any]:
    prices = {
        key: number(_between(grid, name, 0)[name]) for name, key in TIERED.items() if name in grid.at_most[0]
    }
    if grid.thresholds[-1] > 0:
        for tokens, names in TIERS.items():
            for name in names:
                if name in grid.at_most[0]:
                    prices[tier_key(TIERED[name], tokens)] = number(_between(grid, name, tokens)[name])
    return prices | flat_prices(grid.most)


def _between(grid: PriceGrid, name: str, tokens: int) -> Amounts:
    """Give the most that holds above a size, up to the next at which a dimension may be priced."""
    above = next((size for size, names in TIERS.items() if size > tokens and name in names), None)
    first = bisect_right(grid.thresholds, tokens) - 1
    last = None if above is None else bisect_left(grid.thresholds, above)
    return dearest(grid.at_most[first:last])
