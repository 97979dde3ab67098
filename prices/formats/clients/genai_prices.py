"""genai-prices' feed (`UpdatePrices(url=...)`): one provider, `openrouter`, with prices by size and hour.

Amounts are decimal texts: USD per million tokens, per thousand requests and searches. Tiers and hours are
exact. Days of the week do not exist there: an hour that costs differently from day to day stands at its
dearest. Images that are priced singly (`image`) have no unit there and are left out; their tokens are priced
as tokens. A model with a dynamic or unknown price is left out: each price of the feed is an amount.

A set of prices is refused, when something is priced by it, where a unit has a price and another that it
needs has none. Those are added with the price that OpenRouter's rules give them (`_with_companions`).

Source: `types.py`, `validation.py` and `data_units.py` of genai-prices 0.2.3.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from prices.formats.format import JSON, MILLION, CurrentModel, Format
from prices.pricing.grid import DAY, Amounts, PriceGrid, Steps, dearest_of, effective, hours
from prices.pricing.price import plain, times

TOKENS: Final[Mapping[str, str]] = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "input_cache_read": "cache_read_mtok",
    "input_cache_write": "cache_write_mtok",
    "input_cache_write_1h": "cache_write_1h_mtok",
    "audio": "input_audio_mtok",
    "input_audio_cache": "cache_audio_read_mtok",
    "image_token": "input_image_mtok",
    "internal_reasoning": "output_reasoning_mtok",
    "audio_output": "output_audio_mtok",
    "image_output": "output_image_mtok",
}
COUNTS: Final[Mapping[str, str]] = {"request": "requests_kcount", "web_search": "web_searches_kcount"}


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the feed."""
    provider = {
        "id": "openrouter",
        "name": "OpenRouter",
        "api_pattern": r"https?://(www\.)?openrouter\.ai",
        "models": [_model(model, model.grid) for model in models if model.grid is not None],
    }
    return msgspec.json.encode([provider])


FORMAT: Final = Format("genai-prices", "/genai-prices.json", JSON, write)


def _model(model: CurrentModel, grid: PriceGrid) -> dict[str, Any]:
    slug = model.price.slug
    row: dict[str, Any] = {"id": slug, "name": model.price.attributes.name, "match": {"equals": slug}}
    if model.context_length:
        row["context_window"] = model.context_length
    (standard, _), *others = _by_hour(grid)
    row["prices"] = _prices(grid, standard)
    if others:
        constrained = [
            {
                "constraint": {"start_time": f"{start}:00", "end_time": f"{end}:00"},
                "prices": _prices(grid, steps),
            }
            for steps, minutes in others
            for start, end in hours(minutes, wrap=True)
        ]
        row["prices"] = [{"prices": row["prices"]}, *constrained]
    return row


def _by_hour(grid: PriceGrid) -> list[tuple[Steps, list[tuple[int, int]]]]:
    """Give what holds at each time of the day on its dearest day."""
    if len(grid.groups) == 1:
        return [(grid.groups[0][0], [(0, DAY)])]
    of_a_minute: dict[tuple[int, int], list[Steps]] = {}
    for steps, slots in grid.groups:
        for slot in slots:
            of_a_minute.setdefault((slot.start, slot.end), []).append(steps)
    found: list[tuple[Steps, list[tuple[int, int]]]] = []
    for minutes, held in of_a_minute.items():
        most = dearest_of(held)
        group = next((ranges for steps, ranges in found if steps == most), None)
        if group is None:
            found.append((most, [minutes]))
        else:
            group.append(minutes)
    return found


def _prices(grid: PriceGrid, steps: Steps) -> dict[str, Any]:
    """Write a price of each unit, or its price at each size."""
    cells = [dict(_units(amounts)) for amounts in steps]
    return {
        key: base
        if all(cell[key] == base for cell in cells)
        else {
            "base": base,
            "tiers": [
                {"start": tokens, "price": cell[key]}
                for tokens, cell in zip(grid.thresholds[1:], cells[1:], strict=True)
            ],
        }
        for key, base in cells[0].items()
    }


def _units(amounts: Amounts) -> Iterator[tuple[str, str]]:
    whole, more = _with_companions(amounts)
    for name, key in TOKENS.items():
        if name in whole:
            yield key, plain(times(whole[name], MILLION))
    for key, amount in more.items():
        yield key, plain(times(amount, MILLION))
    for name, key in COUNTS.items():
        if name in whole:
            yield key, plain(times(whole[name], Decimal(1000)))


def _with_companions(amounts: Amounts) -> tuple[Amounts, dict[str, Decimal]]:
    """Add the dimensions that others need, and name the units that only exist for them.

    OpenRouter counts no cached images and no written audio apart: they cost what the cache costs. Reasoning
    that is audio or an image is counted as either; it stands at the dearer.
    """
    whole = dict(amounts)
    if "input_audio_cache" in whole:
        whole |= {name: effective(whole, name) for name in ("input_cache_read", "audio")}
    if "input_cache_write_1h" in whole:
        whole["input_cache_write"] = effective(whole, "input_cache_write")
    if "audio" in whole and "input_cache_read" in whole:
        whole["input_audio_cache"] = effective(whole, "input_audio_cache")
    more: dict[str, Decimal] = {}
    for kind, dimension in (("audio", "audio"), ("image", "image_token")):
        if dimension not in whole:
            continue
        if kind == "image" and "input_cache_read" in whole:
            more["cache_image_read_mtok"] = whole["input_cache_read"]
        if "input_cache_write" in whole:
            more[f"cache_{kind}_write_mtok"] = whole["input_cache_write"]
        if "input_cache_write_1h" in whole:
            more[f"cache_{kind}_write_1h_mtok"] = whole["input_cache_write_1h"]
    for kind in ("audio", "image"):
        if "internal_reasoning" in whole and f"{kind}_output" in whole:
            more[f"output_{kind}_reasoning_mtok"] = max(whole["internal_reasoning"], whole[f"{kind}_output"])
    return whole, more
