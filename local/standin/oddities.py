"""Pure: the fields and prices of the models listed in `catalogue.ODDITIES`, at any moment."""

from datetime import datetime
from typing import Any

from local.standin.moves import DAY_STEPS, WEEK_STEPS, Pricing, mirrored, step_of
from local.standin.ordinary import Item, item

_AURORA = "lumenforge/aurora-5"
_WORKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]


def _price(prompt: str, completion: str, **more: Any) -> Pricing:
    return {"prompt": prompt, "completion": completion, **more}


_ORDINARY = _price("0.000002", "0.000008")
_READS = _price("0.000002", "0.000008", input_cache_read="0.0000002")
_ZERO = _price("0", "0")

# Only what differs from _ORDINARY; a moving price stands in _moving.
_PRICES: dict[str, Pricing] = {
    f"{_AURORA}:thinking": _price("0.000002", "0.000012", internal_reasoning="0.000012"),
    f"{_AURORA}:nitro": _price("0.000004", "0.000016"),
    f"{_AURORA}:batch": _price("0.000001", "0.000004"),
    f"{_AURORA}:free": _ZERO,
    "openrouter/auto": _price("-1", "-1"),
    "openrouter/mirage": _price("-1", "-1", request="-1", image="-1", web_search="-1", input_cache_read="-1"),
    "harbor-ai/pilot-lens": {**_ORDINARY, "image": "-1"},
    "harbor-ai/pilot-minus": {**_ORDINARY, "request": "-0"},
    "tidewater/longtail-70b": _price("0.00000010333333333333333", "0.00000041666666666666666"),
    "granite-bay/two-tiers": {
        **_READS,
        "overrides": [
            {"min_prompt_tokens": 32000, "prompt": "0.000003", "completion": "0.000012"},
            {"min_prompt_tokens": 256000, "prompt": "0.000006"},
        ],
    },
    "deepwell/night-flash": {
        **_READS,
        "overrides": [
            {"utc_start": 30, "utc_end": 1630, "prompt": "0.0000004", "completion": "0.0000016"},
            {"utc_start": 1630, "utc_end": 30, "prompt": "0.0000002", "completion": "0.0000008"},
        ],
    },
    "deepwell/siesta": {
        **_ORDINARY,
        "overrides": [{"utc_start": 1200, "utc_end": 1500, "prompt": "0.000001"}],
    },
    "deepwell/clock-and-tier": {
        **_ORDINARY,
        "overrides": [
            {"utc_start": 800, "utc_end": 2000, "prompt": "0.000003", "completion": "0.000009"},
            {"utc_start": 800, "utc_end": 2000, "min_prompt_tokens": 200000, "prompt": "0.000006"},
            {"min_prompt_tokens": 200000, "completion": "0.00002"},
        ],
    },
    "deepwell/weekdays": {
        **_ORDINARY,
        "overrides": [{"utc_days": _WORKDAYS, "utc_start": 700, "utc_end": 1900, "prompt": "0.0000025"}],
    },
    "harbor-ai/discounted": {**_ORDINARY, "discount": 0.25},
    "harbor-ai/not-really:free": _price("0.0000001", "0.0000003"),
    "harbor-ai/gratis-4b": _ZERO,
    "quarry/novelty": {**_ORDINARY, "per_daydream": "0.0125"},
    "lumenforge/omni": {
        **_READS,
        **dict.fromkeys(
            ("request", "image", "image_token", "image_output", "audio", "audio_output"), "0.00001"
        ),
        **dict.fromkeys(
            ("input_audio_cache", "web_search", "internal_reasoning", "input_cache_write"), "0.000005"
        ),
        "input_cache_write_1h": "0.00000875",
    },
}

_NO_PROVIDER = {"context_length": None, "max_completion_tokens": None, "is_moderated": False}
_ALIAS = {"alias_target": {"name": "Lumenforge: Aurora 5", "slug": _AURORA}}
_SHARED = {"canonical_slug": f"{_AURORA}-20260701"}
_ROUTER = {"top_provider": _NO_PROVIDER, "context_length": 2000000, "canonical_slug": "openrouter/auto"}

_FIELDS: dict[str, Item] = {
    "~lumenforge/aurora-latest": {**_SHARED, **_ALIAS},
    **{
        _AURORA + variant: _SHARED
        for variant in ("", ":thinking", ":beta", ":nitro", ":extended", ":batch", ":free")
    },
    "openrouter/auto": _ROUTER,
    "openrouter/mirage": {**_ROUTER, "canonical_slug": "openrouter/mirage"},
    "quarry/context-zero": {"context_length": 0},
    "quarry/context-null": {"context_length": None},
    "quarry/expiring": {"expiration_date": "2026-12-31"},
    "quarry/novelty": {
        "mood": {"humour": [1, None, {"dry": True}]},
        "carbon_grams": 0.4,
        "name": "Quarry: Nové 石 🪨",
    },
}


def oddity(slug: str, index: int, now: datetime) -> Item | None:
    """The row of an odd model at `now` (UTC), or None while it has left the list."""
    step = step_of(now)
    if slug == "quarry/comes-and-goes" and step % 4 == 3:
        return None
    if slug == "quarry/long-gone" and _in_off_weeks(step):
        return None
    row = item(slug, index, mirrored(_moving(slug, step, now), now)) | _FIELDS.get(slug, {})
    if slug == "quarry/slug-changer":
        row["canonical_slug"] = f"quarry/slug-changer-{'old' if step // WEEK_STEPS % 2 else 'new'}"
    return row


def _in_off_weeks(step: int) -> bool:
    return 5 <= step // WEEK_STEPS % 9 < 8


def _moving(slug: str, step: int, now: datetime) -> Pricing:
    week = step // WEEK_STEPS
    match slug:
        case "tidewater/noisy-8b":
            return _price("0.0000024999997201" if step % 4 < 2 else "0.0000025", "0.00001")
        case "quarry/keys-come-and-go":
            return {**_ORDINARY, "request": "0", "image": "0"} if step % 2 else _READS
        case "glimmer/zero-hour":
            return _ZERO if now.hour == 10 else _ORDINARY
        case "glimmer/zero-weeks":
            return _ZERO if _in_off_weeks(step) else _ORDINARY
        case "glimmer/tenfold-blip":
            return _price("0.00004", "0.00016") if step % DAY_STEPS == 6 else _ORDINARY
        case "glimmer/tenfold-genuine":
            return _price("0.000024", "0.000096") if week % 2 else _ORDINARY
    return _PRICES.get(slug, _ORDINARY)
