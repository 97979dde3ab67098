"""Crush's list of providers (`CATWALK_URL`, which it asks for `/v2/providers`): one provider, `openrouter`.

Amounts are JSON numbers in USD per million tokens. There are neither tiers nor hours there: prices stand at
the dearest size and time. `cost_per_1m_in_cached` is the price of a write to the cache,
`cost_per_1m_out_cached` that of a read; both must be there, so what upstream prices as the prompt stands at
the prompt's price. A model with a dynamic, unknown or per-request price is left out, as each model has
numbers; so are web search, images priced singly and writes to the cache for an hour.

The default models must be on the list: the first that takes tools, and the cheapest of those that cost
anything.

Source: `pkg/catwalk/provider_v2.go` of https://github.com/charmbracelet/catwalk.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from prices.formats.format import JSON, CurrentModel, Format, per_million
from prices.pricing.grid import Amounts, effective

SHARE: Final = 10
"""A model writes a tenth of its context where upstream does not say, as in Crush's own list."""


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the one provider with its models."""
    priced = [
        (model, model.grid.most)
        for model in models
        if model.grid is not None and not model.grid.charges("request")
    ]
    provider = {
        "name": "OpenRouter",
        "id": "openrouter",
        "api_key": "$OPENROUTER_API_KEY",
        "api_endpoint": "https://openrouter.ai/api/v1",
        "type": "openrouter",
        **_defaults(priced),
        "models": [_model(model, most) for model, most in priced],
    }
    return msgspec.json.encode([provider])


FORMAT: Final = Format("crush", "/v2/providers", JSON, write)


def _defaults(priced: Sequence[tuple[CurrentModel, Amounts]]) -> dict[str, str]:
    able = [(model, most) for model, most in priced if "tools" in model.details.parameters] or priced
    if not able:
        return {}
    paid = [one for one in able if one[1]["prompt"] and one[1]["completion"]] or able
    small, _ = min(paid, key=lambda one: one[1]["prompt"] + one[1]["completion"])
    return {"default_large_model_id": able[0][0].price.slug, "default_small_model_id": small.price.slug}


def _model(model: CurrentModel, most: Amounts) -> dict[str, Any]:
    attributes, details = model.price.attributes, model.details
    row: dict[str, Any] = {
        "id": model.price.slug,
        "name": attributes.name,
        "cost_per_1m_in": per_million(most["prompt"]),
        "cost_per_1m_out": per_million(most["completion"]),
        "cost_per_1m_in_cached": per_million(effective(most, "input_cache_write")),
        "cost_per_1m_out_cached": per_million(effective(most, "input_cache_read")),
        "context_window": model.context_length,
        "default_max_tokens": details.max_output or model.context_length // SHARE,
        "can_reason": attributes.reasoning,
        "supports_attachments": "image" in attributes.inputs,
    }
    return row | (
        {"reasoning_levels": list(details.efforts)} if attributes.reasoning and details.efforts else {}
    )
