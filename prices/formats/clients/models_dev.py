"""models.dev's `api.json`, as opencode and Cline read it: one provider, `openrouter`.

Amounts are JSON numbers in USD per million tokens. Tiers are exact; windows of hours do not exist there, so
prices stand at the dearest time. A model with a dynamic, unknown or per-request price has no `cost`.
opencode counts a cached token without a price as free: where upstream prices none apart, it stands at the
price of the prompt, as OpenRouter bills it. Web search, images priced singly and writes to the cache for an
hour have no key and are left out. `last_updated` is the day since which the price holds.

Source: the schema of https://models.dev/api.json.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from prices.formats.format import JSON, CurrentModel, Format, per_million
from prices.pricing.grid import Amounts, PriceGrid, effective

KEYS: Final[Mapping[str, str]] = {"audio": "input_audio", "audio_output": "output_audio"}
MODALITIES: Final[Mapping[str, str]] = {
    **{name: name for name in ("text", "audio", "image", "video")},
    "file": "pdf",
}
OVER: Final = 200_000
"""A single tier from here on is said once more under the key that older clients read."""
LAST_DAY: Final = 253402300799
"""The last second that a date can name."""


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the one provider with its models."""
    provider = {
        "id": "openrouter",
        "name": "OpenRouter",
        "env": ["OPENROUTER_API_KEY"],
        "npm": "@openrouter/ai-sdk-provider",
        "api": "https://openrouter.ai/api/v1",
        "doc": "https://openrouter.ai/models",
        "models": {model.price.slug: _model(model) for model in models},
    }
    return msgspec.json.encode({"openrouter": provider})


FORMAT: Final = Format("models.dev", "/api.json", JSON, write)


def _model(model: CurrentModel) -> dict[str, Any]:
    attributes, details = model.price.attributes, model.details
    since = f"{model.price.valid_from:%Y-%m-%d}"
    created = details.created
    row: dict[str, Any] = {
        "id": model.price.slug,
        "name": attributes.name,
        "attachment": any(kind in MODALITIES and kind != "text" for kind in attributes.inputs),
        "reasoning": attributes.reasoning,
        "tool_call": "tools" in details.parameters,
        "structured_output": "structured_outputs" in details.parameters,
        "temperature": "temperature" in details.parameters,
        "release_date": _day(created) if created and created <= LAST_DAY else since,
        "last_updated": since,
        "modalities": {"input": _modalities(attributes.inputs), "output": _modalities(attributes.outputs)},
        "open_weights": details.open_weights,
        "limit": {"context": model.context_length, "output": details.max_output or model.context_length},
    }
    if attributes.reasoning:
        efforts = list(details.efforts)
        row["reasoning_options"] = [{"type": "effort", "values": efforts}] if efforts else []
    if model.grid is not None and not model.grid.charges("request"):
        row["cost"] = _cost(model.grid, reasoning=attributes.reasoning)
    return row


def _cost(grid: PriceGrid, *, reasoning: bool) -> dict[str, Any]:
    base, *above = (_prices(amounts, reasoning=reasoning) for amounts in grid.at_most)
    cost: dict[str, Any] = dict(base)
    if above:
        sizes = grid.thresholds[1:]
        cost["tiers"] = [
            {**prices, "tier": {"type": "context", "size": size}}
            for size, prices in zip(sizes, above, strict=True)
        ]
        if len(above) == 1 and sizes[0] >= OVER:
            cost["context_over_200k"] = above[0]
    return cost


def _prices(amounts: Amounts, *, reasoning: bool) -> dict[str, msgspec.Raw]:
    prices = {
        "input": per_million(amounts["prompt"]),
        "output": per_million(amounts["completion"]),
        "cache_read": per_million(effective(amounts, "input_cache_read")),
        "cache_write": per_million(effective(amounts, "input_cache_write")),
    }
    if reasoning and "internal_reasoning" in amounts:
        prices["reasoning"] = per_million(amounts["internal_reasoning"])
    return prices | {key: per_million(amounts[name]) for name, key in KEYS.items() if name in amounts}


def _modalities(kinds: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(MODALITIES[kind] for kind in kinds if kind in MODALITIES)) or ["text"]


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
