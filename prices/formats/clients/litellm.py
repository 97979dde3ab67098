"""LiteLLM's cost map (`LITELLM_MODEL_COST_MAP_URL`), a row per model under `openrouter/<id>`.

Amounts are JSON numbers in USD per token (per search, per image).

- A model with a dynamic or unknown price has no row: LiteLLM would count what is missing as 0. Nor has one
  with a price per request, which LiteLLM does not read, or with free text beside images that cost, which it
  would price as text.
- Tiers are `_above_N_tokens`, exact for prompt, completion, cache and audio. The other dimensions have no
  tiers there: they stand at their dearest.
- Times are one `off_peak_pricing` block: the cheapest time whose prices do not depend on the size of the
  prompt. All other times stand at the dearest of them; what the block cannot name (writes for an hour,
  audio, images) at its dearest of all times. With two prices over the day, as upstream has them, this is
  exact.

Source: `litellm_core_utils/llm_cost_calc/utils.py` of LiteLLM 1.110.2.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from prices.formats.format import JSON, CurrentModel, Format, number
from prices.pricing.grid import Amounts, PriceGrid, Slot, Steps, dearest, dearest_of, hours

PROVIDER: Final = "openrouter"

TIERED: Final[Mapping[str, str]] = {
    "prompt": "input_cost_per_token",
    "completion": "output_cost_per_token",
    "input_cache_read": "cache_read_input_token_cost",
    "input_cache_write": "cache_creation_input_token_cost",
    "input_cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "audio": "input_cost_per_audio_token",
}
FLAT: Final[Mapping[str, str]] = {
    "input_audio_cache": "cache_read_input_audio_token_cost",
    "image": "input_cost_per_image",
    "image_token": "input_cost_per_image_token",
    "internal_reasoning": "output_cost_per_reasoning_token",
    "audio_output": "output_cost_per_audio_token",
    "image_output": "output_cost_per_image_token",
}
OFF_PEAK: Final = ("prompt", "completion", "input_cache_read", "input_cache_write", "internal_reasoning")
SIZES: Final = ("search_context_size_low", "search_context_size_medium", "search_context_size_high")
MAX_OUTPUT: Final = "max_output_tokens"


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the map."""
    rows = {f"{PROVIDER}/{model.price.slug}": row for model in models if (row := _row(model)) is not None}
    return msgspec.json.encode(rows)


FORMAT: Final = Format("litellm", "/litellm.json", JSON, write)


def can_say(grid: PriceGrid) -> bool:
    """Whether these keys can say what a model costs."""
    text_is_free = any(not amounts["completion"] for steps, _ in grid.groups for amounts in steps)
    return not grid.charges("request") and not (text_is_free and grid.charges("image_output"))


def limits_and_abilities(model: CurrentModel) -> dict[str, Any]:
    """Write what is not a price."""
    inputs, able = model.price.attributes.inputs, model.details.parameters
    row: dict[str, Any] = {"mode": "chat"}
    if model.context_length:
        row["max_input_tokens"] = model.context_length
    if model.details.max_output:
        row[MAX_OUTPUT] = row["max_tokens"] = model.details.max_output
    abilities = {
        "supports_function_calling": "tools" in able,
        "supports_tool_choice": "tool_choice" in able,
        "supports_response_schema": "structured_outputs" in able,
        "supports_reasoning": model.price.attributes.reasoning,
        "supports_vision": "image" in inputs,
        "supports_pdf_input": "file" in inputs,
        "supports_audio_input": "audio" in inputs,
    }
    return row | {name: True for name, is_able in abilities.items() if is_able}


def flat_prices(most: Amounts) -> dict[str, Any]:
    """Write the dimensions that have no tiers, and web search, alike for each size of its context."""
    prices: dict[str, Any] = {key: number(most[name]) for name, key in FLAT.items() if name in most}
    if "web_search" in most:
        prices["search_context_cost_per_query"] = dict.fromkeys(SIZES, number(most["web_search"]))
    return prices


def tier_key(key: str, tokens: int) -> str:
    """Name the key of a price that holds for more than so many prompt tokens."""
    return f"{key}_above_{tokens // 1000}k_tokens" if tokens % 1000 == 0 else f"{key}_above_{tokens}_tokens"


def _row(model: CurrentModel) -> dict[str, Any] | None:
    grid = model.grid
    if grid is None or not can_say(grid):
        return None
    off_peak = _off_peak(grid)
    peak = [steps for steps, _ in grid.groups if off_peak is None or steps is not off_peak[0]]
    standard, most = dearest_of(peak), grid.at_most
    steps = [
        {name: (standard if name in OFF_PEAK else most)[n][name] for name in cell}
        for n, cell in enumerate(standard)
    ]
    row = {"litellm_provider": PROVIDER} | limits_and_abilities(model)
    row |= {key: number(steps[0][name]) for name, key in TIERED.items() if name in steps[0]}
    for tokens, amounts in zip(grid.thresholds[1:], steps[1:], strict=True):
        row |= {
            tier_key(key, tokens): number(amounts[name]) for name, key in TIERED.items() if name in amounts
        }
    row |= flat_prices(dearest(steps))
    if off_peak is not None:
        row["off_peak_pricing"] = _times(off_peak[1]) | _off_peak_prices(off_peak[0][0])
    return row


def _off_peak(grid: PriceGrid) -> tuple[Steps, tuple[Slot, ...]] | None:
    """Choose the time of the block: the cheapest with one price for each size; None where there is none."""
    if len(grid.groups) == 1:
        return None
    flat = [group for group in grid.groups if len({_off_peak_amounts(cell) for cell in group[0]}) == 1]
    return min(flat, key=lambda group: sum(_off_peak_amounts(group[0][0])), default=None)


def _off_peak_amounts(amounts: Amounts) -> tuple[Any, ...]:
    return tuple(amounts[name] for name in OFF_PEAK if name in amounts)


def _off_peak_prices(amounts: Amounts) -> dict[str, Any]:
    keys = {**TIERED, **FLAT}
    return {keys[name]: number(amounts[name]) for name in OFF_PEAK if name in amounts}


def _times(slots: Iterable[Slot]) -> dict[str, Any]:
    """Write hours of every day, or hours with the days (1 is Monday) on which they are."""
    days: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for day in range(7):
        if minutes := tuple((start, end) for on, start, end in sorted(slots) if on == day):
            days.setdefault(minutes, []).append(day + 1)
    if list(days.values()) == [[1, 2, 3, 4, 5, 6, 7]]:
        return {"hours_utc": _ranges(*days, wrap=True)}
    windows = ({"hours_utc": _ranges(one, wrap=False), "weekdays": on} for one, on in days.items())
    return {"windows": list(windows)}


def _ranges(minutes: Iterable[tuple[int, int]], *, wrap: bool) -> list[str]:
    return [f"{start}-{end}" for start, end in hours(minutes, wrap=wrap)]
