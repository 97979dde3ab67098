"""What holds for every cost: exact, additive, and silent where a price is not known."""

import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.standin import catalogue
from prices.errors import UsageError
from prices.pricing.cost import Cost, cost_of
from prices.pricing.price import DIMENSIONS, PriceState
from prices.pricing.schedule import PriceSchedule
from prices.runtime.settings import ROOT
from prices.upstream.model_list import parse
from tests.support.json_values import JSON_VALUES
from tests.support.laws import examples

RECORDED = sorted((ROOT.parent / "shared" / "openrouter").glob("*.json.gz"))
MIDNIGHT = datetime(2026, 8, 6, tzinfo=UTC)
ONE = Decimal(1)

AMOUNTS = st.just("0") | st.decimals(0, 100, places=23, allow_nan=False).map(lambda amount: f"{amount:f}")
OPTIONAL = sorted(DIMENSIONS - {"prompt", "completion"})
PRICINGS = st.fixed_dictionaries(
    {"prompt": AMOUNTS, "completion": AMOUNTS}, optional=dict.fromkeys(OPTIONAL, AMOUNTS)
)
TIMES = st.integers(0, 1439).map(lambda minute: MIDNIGHT + timedelta(minutes=minute))
MARKUPS = st.decimals("0.001", 1000, places=20)
COUNTS = st.integers(0, 40) | st.integers(0, 10**10)
PARTS = (
    *("text", "cached", "written", "written_1h", "audio", "image"),
    *("answer", "reasoning", "audio_output", "image_output", "searches", "images"),
)
PARTED = st.fixed_dictionaries(dict.fromkeys(PARTS, COUNTS))


def reported(parts: dict[str, int], requests: int | None = None) -> dict[str, Any]:
    """The parts of a call as upstream reports them: within their wholes."""
    written = parts["written"] + parts["written_1h"]
    prompt = parts["text"] + parts["cached"] + written + parts["audio"] + parts["image"]
    completion = sum(parts[name] for name in ("answer", "reasoning", "audio_output", "image_output"))
    return {
        "prompt_tokens": prompt,
        "prompt_tokens_details": {
            "cached_tokens": parts["cached"],
            "cache_write_tokens": written,
            "audio_tokens": parts["audio"],
            "image_tokens": parts["image"],
        },
        "cache_creation": {
            "ephemeral_5m_input_tokens": parts["written"],
            "ephemeral_1h_input_tokens": parts["written_1h"],
        },
        "completion_tokens": completion,
        "completion_tokens_details": {
            "reasoning_tokens": parts["reasoning"],
            "audio_tokens": parts["audio_output"],
            "image_tokens": parts["image_output"],
        },
        "total_tokens": prompt + completion,
        "server_tool_use": {"web_search_requests": parts["searches"]},
        "images": parts["images"],
        "requests": requests,
    }


def cost(usage: object, pricing: dict[str, Any], at: datetime = MIDNIGHT, markup: Decimal = ONE) -> Cost:
    return cost_of(usage, PriceSchedule.parse(pricing), at, markup)


def by_fractions(parts: dict[str, int], pricing: dict[str, Any]) -> Fraction | None:
    """The bill written out by hand, in fractions; None where a price is missing."""
    own = {name: Fraction(text) for name, text in pricing.items() if isinstance(text, str)}
    prompt, completion = own["prompt"], own["completion"]
    written = own.get("input_cache_write", prompt)
    if any(
        parts[used] and name not in own for used, name in (("searches", "web_search"), ("images", "image"))
    ):
        return None
    return (
        parts["text"] * prompt
        + parts["cached"] * own.get("input_cache_read", prompt)
        + parts["written"] * written
        + parts["written_1h"] * own.get("input_cache_write_1h", written)
        + parts["audio"] * own.get("audio", prompt)
        + parts["image"] * own.get("image_token", prompt)
        + parts["answer"] * completion
        + parts["reasoning"] * (own.get("internal_reasoning") or completion)
        + parts["audio_output"] * own.get("audio_output", completion)
        + parts["image_output"] * own.get("image_output", completion)
        + parts["searches"] * own.get("web_search", Fraction(0))
        + parts["images"] * own.get("image", Fraction(0))
        + own.get("request", Fraction(0))
    )


@settings(max_examples=examples(200))
@given(PARTED, PRICINGS, MARKUPS)
def test_a_cost_is_the_bill_written_out_in_fractions(
    parts: dict[str, int], pricing: dict[str, Any], markup: Decimal
) -> None:
    found = cost(reported(parts), pricing, markup=markup)
    expected = by_fractions(parts, pricing)
    told = found.to_builtins()
    if expected is None:
        assert (told["total"], told["retail_total"]) == (None, None)
        assert set(told["unknown"]) <= {"web_search", "image"}
        assert told["unknown"]
        return
    assert Fraction(told["total"]) == expected
    assert Fraction(told["retail_total"]) == expected * Fraction(markup)
    assert sum(Fraction(line["amount"]) for line in told["lines"]) == expected
    for line in told["lines"]:
        assert Fraction(line["amount"]) == Fraction(line["unit_price"]) * line["quantity"]
        assert set(line["amount"]) <= set("0123456789.")


@settings(max_examples=examples(100))
@given(PARTED, PARTED, PRICINGS, TIMES, st.integers(0, 2359), st.integers(0, 2359), AMOUNTS)
def test_calls_in_the_same_window_cost_together_what_they_cost_apart(
    one: dict[str, int],
    other: dict[str, int],
    pricing: dict[str, Any],
    at: datetime,
    start: int,
    end: int,
    by_window: str,
) -> None:
    windows = {"overrides": [{"utc_start": start, "utc_end": end, "prompt": by_window, "request": "0.01"}]}
    both = {name: one[name] + other[name] for name in PARTS}
    apart = [cost(reported(parts, requests=1), pricing | windows, at) for parts in (one, other)]
    together = cost(reported(both, requests=2), pricing | windows, at)
    assert Fraction(together.known_total) == sum(Fraction(found.known_total) for found in apart)
    assert (together.total is None) == any(found.total is None for found in apart)


@settings(max_examples=examples(100))
@given(PARTED, PARTED, PRICINGS, AMOUNTS, st.integers(0, 50), st.booleans())
def test_calls_at_the_same_tier_cost_together_what_they_cost_apart(
    one: dict[str, int],
    other: dict[str, int],
    pricing: dict[str, Any],
    above: str,
    size: int,
    high: bool,
) -> None:
    pricing = {name: text for name, text in pricing.items() if name != "request"}
    both = {name: one[name] + other[name] for name in PARTS}
    usages = [reported(parts) for parts in (one, other, both)]
    sizes = [usage["prompt_tokens"] for usage in usages]
    size = min(sizes) - 1 if high else max(sizes) + size
    tier = {"overrides": [{"min_prompt_tokens": size, "prompt": above, "input_cache_read": above}]}
    first, second, together = (cost(usage, pricing | tier) for usage in usages)
    assert {first.rates.tier, second.rates.tier, together.rates.tier} == {size if high else None}
    assert Fraction(together.known_total) == Fraction(first.known_total) + Fraction(second.known_total)


@settings(max_examples=examples(150))
@given(PARTED, PRICINGS, st.sets(st.sampled_from(sorted(DIMENSIONS)), min_size=1))
def test_a_dynamic_price_that_is_used_never_yields_a_number(
    parts: dict[str, int], pricing: dict[str, Any], dynamic: set[str]
) -> None:
    found = cost(reported(parts), pricing | dict.fromkeys(dynamic, "-1"))
    met = [line for line in found.lines if line.priced_as in dynamic]
    assert [line.dimension for line in met] == found.in_state(PriceState.DYNAMIC)
    assert all(line.amount is None for line in met)
    used = {line.dimension for line in found.lines}
    assert used & dynamic <= {line.dimension for line in met}
    if met:
        assert (found.total, found.retail_total) == (None, None)
    others = [line.amount for line in found.lines if line.amount is not None]
    assert Fraction(found.known_total) == sum(map(Fraction, others))


@settings(max_examples=examples(100))
@given(PARTED, PRICINGS, AMOUNTS, AMOUNTS)
def test_telling_cached_tokens_apart_never_costs_more_than_not_telling_them(
    parts: dict[str, int], pricing: dict[str, Any], one: str, other: str
) -> None:
    cached_price, pricing["prompt"] = sorted((one, other), key=Fraction)
    split = parts | {"text": 0, "cached": parts["text"] + parts["cached"]}
    whole = parts | {"text": parts["text"] + parts["cached"], "cached": 0}
    told = cost(reported(split), pricing | {"input_cache_read": cached_price})
    untold = cost(reported(whole), pricing)
    assert told.known_total <= untold.known_total
    pricing = {name: text for name, text in pricing.items() if name != "input_cache_read"}
    assert cost(reported(split), pricing).known_total == cost(reported(whole), pricing).known_total


@settings(max_examples=examples(100))
@given(PARTED, PRICINGS, st.sampled_from(PARTS), st.integers(1, 1000))
def test_more_use_never_costs_less(
    parts: dict[str, int], pricing: dict[str, Any], name: str, more: int
) -> None:
    less = cost(reported(parts), pricing)
    assert cost(reported(parts | {name: parts[name] + more}), pricing).known_total >= less.known_total


@settings(max_examples=examples(100))
@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), st.integers(-2, 30)),
            "prompt_tokens_details": JSON_VALUES,
            "requests": st.integers(0, 3) | JSON_VALUES,
            "images": JSON_VALUES,
        },
    ),
    PRICINGS,
    st.lists(
        st.fixed_dictionaries(
            {"prompt": AMOUNTS},
            optional={
                "min_prompt_tokens": st.integers(0, 30) | JSON_VALUES,
                "utc_start": st.integers(0, 2359) | JSON_VALUES,
                "utc_end": st.integers(0, 2359) | JSON_VALUES,
                "utc_days": JSON_VALUES,
            },
        ),
        max_size=3,
    ),
    TIMES,
)
def test_any_usage_on_any_schedule_is_a_cost_or_a_refusal(
    usage: dict[str, Any], pricing: dict[str, Any], overrides: list[dict[str, Any]], at: datetime
) -> None:
    try:
        told = cost(usage, pricing | {"overrides": overrides}, at).to_builtins()
    except UsageError as refused:
        told = {"total": None, "dynamic": [], "unknown": [str(refused)]}
    assert (told["total"] is None) == bool(told["dynamic"] or told["unknown"])


# Every model that upstream lists


@pytest.mark.parametrize("recording", RECORDED or [None], ids=lambda path: path.name[:10] if path else "none")
def test_every_listed_model_prices_any_usage_or_refuses_it_cleanly(recording: Path | None) -> None:
    """Without recordings beside the repository, a made-up list of the usual length stands for them."""
    made_up = catalogue.body(420, MIDNIGHT)
    whole = gzip.decompress(recording.read_bytes()) if recording else made_up
    chance = random.Random(20260806)
    models = parse(whole).models
    compared = 0
    for model in models:
        listed = json.loads(model.document)["pricing"]
        for _ in range(3):
            parts = {name: chance.choice((0, chance.randrange(300_000))) for name in PARTS}
            usage = reported(parts)
            told = cost_of(usage, model.schedule, MIDNIGHT, ONE).to_builtins()
            lines = {line["dimension"]: line for line in told["lines"]}
            known = [line["amount"] for line in lines.values() if line["amount"] is not None]
            assert Fraction(told["known_total"]) == sum(map(Fraction, known)), model.id
            assert (told["total"] is None) == (len(known) < len(lines)), model.id
            for side in {"prompt", "completion"} & lines.keys():
                assert (listed[side] == "-1") == (lines[side]["state"] == "dynamic"), model.id
            if (held := at_midnight(listed, usage["prompt_tokens"])) is not None:
                expected = by_fractions(parts, held)
                assert (told["total"] and Fraction(told["total"])) == expected, model.id
                compared += 1
            usage["prompt_tokens"] -= 1
            with pytest.raises(UsageError, match=r"^usage\."):
                cost_of(usage, model.schedule, MIDNIGHT, ONE)
    assert compared > 2 * len(models) > 200


def at_midnight(listed: dict[str, Any], prompt_tokens: int) -> dict[str, Any] | None:
    """What of a listed price holds for a prompt, merged by hand; None where that is not all in amounts."""
    held = {name: text for name, text in listed.items() if name != "overrides"}
    for entry in listed.get("overrides") or []:
        start, end = entry.get("utc_start", 0), entry.get("utc_end", 2400)
        if prompt_tokens > entry.get("min_prompt_tokens", -1) and (start == 0 < end or start > end > 0):
            held |= entry
    return None if "-1" in held.values() else held
