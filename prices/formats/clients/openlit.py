"""OpenLIT's pricing file (`OPENLIT_PRICING_JSON`): chat models by id.

Amounts are JSON numbers in USD per 1,000 tokens. There are neither tiers nor hours there: prices stand at
the dearest size and time. Cached tokens have a price where upstream names one; without it OpenLIT counts
them with the prompt, as OpenRouter bills them. A model with a dynamic, unknown or per-request price is left
out, as are web search, images priced singly and writes to the cache for an hour.

Source: `get_chat_model_cost` in `openlit/__helpers.py`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from prices.formats.format import JSON, CurrentModel, Format, number
from prices.pricing.grid import PriceGrid
from prices.pricing.price import times

KEYS: Final[Mapping[str, str]] = {
    "prompt": "promptPrice",
    "completion": "completionPrice",
    "input_cache_read": "cacheReadPrice",
    "input_cache_write": "cacheCreationPrice",
}
THOUSAND: Final = Decimal(1000)


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the file; the kinds of models that OpenRouter does not list are there and empty."""
    chat = {
        model.price.slug: _prices(model.grid)
        for model in models
        if model.grid is not None and not model.grid.charges("request")
    }
    return msgspec.json.encode({"chat": chat, "embeddings": {}, "images": {}, "audio": {}})


FORMAT: Final = Format("openlit", "/openlit.json", JSON, write)


def _prices(grid: PriceGrid) -> dict[str, msgspec.Raw]:
    most = grid.most
    return {key: number(times(most[name], THOUSAND)) for name, key in KEYS.items() if name in most}
