"""LiteLLM's map: exact where it can be, dearer where it cannot, and no row without a number."""

from decimal import Decimal
from typing import Any

import pytest

from prices.formats.clients.litellm import FORMAT, SIZES
from tests.support.formats import NIGHT, OFFICE, TIER, WRITES, priced, written
from tests.support.lists import model

IN, OUT = "input_cost_per_token", "output_cost_per_token"


def row(*overrides: dict[str, Any], **pricing: Any) -> dict[str, Any]:
    more = {"overrides": list(overrides)} if overrides else {}
    found: dict[str, Any] = written(FORMAT, priced(**pricing, **more))["openrouter/a/one"]
    return found


def test_a_plain_model() -> None:
    one = model(
        "a/one",
        "0.00000010333333333333333",
        "0.000008",
        context_length=128000,
        supported_parameters=["tools", "reasoning"],
        architecture={"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
        top_provider={"max_completion_tokens": 16000},
    )
    assert written(FORMAT, one) == {
        "openrouter/a/one": {
            "litellm_provider": "openrouter",
            "mode": "chat",
            "max_input_tokens": 128000,
            "max_output_tokens": 16000,
            "max_tokens": 16000,
            "supports_function_calling": True,
            "supports_reasoning": True,
            "supports_vision": True,
            "supports_pdf_input": True,
            IN: Decimal("0.00000010333333333333333"),
            OUT: Decimal("0.000008"),
        }
    }


def test_the_cache_read_and_both_writes() -> None:
    told = row(**WRITES)
    assert told["cache_read_input_token_cost"] == Decimal("0.0000002")
    assert told["cache_creation_input_token_cost"] == Decimal("0.0000025")
    assert told["cache_creation_input_token_cost_above_1hr"] == Decimal("0.000004")


@pytest.mark.parametrize(("size", "suffix"), [(200000, "_above_200k_tokens"), (32768, "_above_32768_tokens")])
def test_a_tier_is_of_any_size(size: int, suffix: str) -> None:
    told = row(TIER | {"min_prompt_tokens": size}, **WRITES)
    assert (told[IN], told[OUT]) == (Decimal("0.000002"), Decimal("0.000008"))
    assert (told[IN + suffix], told[OUT + suffix]) == (Decimal("0.000004"), Decimal("0.000012"))
    assert told["cache_read_input_token_cost" + suffix] == Decimal("0.0000002")
    assert told["cache_creation_input_token_cost_above_1hr" + suffix] == Decimal("0.000004")


def test_a_window_of_every_day() -> None:
    told = row(NIGHT, **WRITES)
    assert (told[IN], told[OUT]) == (Decimal("0.000002"), Decimal("0.000008"))
    assert told["off_peak_pricing"] == {
        "hours_utc": ["16:30-00:30"],
        IN: Decimal("0.000001"),
        OUT: Decimal("0.000004"),
        "cache_read_input_token_cost": Decimal("0.0000002"),
        "cache_creation_input_token_cost": Decimal("0.0000025"),
    }


def test_a_dearer_window_of_weekdays_leaves_the_rest_off_peak() -> None:
    told = row(OFFICE)
    assert told[IN] == Decimal("0.000003")
    assert told["off_peak_pricing"] == {
        "windows": [
            {"hours_utc": ["00:00-09:00", "17:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
            {"hours_utc": ["00:00-00:00"], "weekdays": [6, 7]},
        ],
        IN: Decimal("0.000002"),
        OUT: Decimal("0.000008"),
    }


def test_two_windows_of_one_price_and_a_third_price_stand_at_the_dearest_outside_the_block() -> None:
    told = row(
        {"utc_start": 0, "utc_end": 400, "prompt": "0.000001"},
        {"utc_start": 800, "utc_end": 1200, "prompt": "0.000005"},
        {"utc_start": 2000, "utc_end": 2400, "prompt": "0.000001"},
    )
    assert told[IN] == Decimal("0.000005")
    assert told["off_peak_pricing"]["hours_utc"] == ["20:00-04:00"]
    assert told["off_peak_pricing"][IN] == Decimal("0.000001")


def test_a_window_whose_price_depends_on_the_size_is_no_block() -> None:
    told = row(NIGHT, {"utc_start": 1630, "utc_end": 30} | TIER, TIER | {"prompt": "0.000006"})
    assert "off_peak_pricing" not in told
    assert (told[IN], told[f"{IN}_above_200k_tokens"]) == (Decimal("0.000002"), Decimal("0.000006"))


def test_reasoning_stands_at_its_price_outside_the_block() -> None:
    told = row(NIGHT | {"internal_reasoning": "0.000004"}, internal_reasoning="0.000001")
    assert told["output_cost_per_reasoning_token"] == Decimal("0.000001")
    assert told["off_peak_pricing"]["output_cost_per_reasoning_token"] == Decimal("0.000004")


def test_what_the_block_cannot_name_stands_at_its_dearest() -> None:
    told = row(NIGHT | {"input_cache_write_1h": "0.000009", "audio": "0.00001"}, **WRITES)
    assert told["cache_creation_input_token_cost_above_1hr"] == Decimal("0.000009")
    assert told["input_cost_per_audio_token"] == Decimal("0.00001")


def test_a_free_model_has_its_own_row() -> None:
    rows = written(FORMAT, priced(), model("a/one:free", "0", "0"))
    assert rows["openrouter/a/one:free"][IN] == rows["openrouter/a/one:free"][OUT] == 0
    assert rows["openrouter/a/one"][IN] == Decimal("0.000002")


def test_web_search_costs_the_same_whatever_its_context() -> None:
    told = row(web_search="0.01")
    assert told["search_context_cost_per_query"] == dict.fromkeys(SIZES, Decimal("0.01"))


def test_other_dimensions_have_their_keys() -> None:
    told = row(
        audio="0.01",
        input_audio_cache="0.02",
        image="0.03",
        image_token="0.04",
        internal_reasoning="0.05",
        audio_output="0.06",
        image_output="0.07",
    )
    keys = {key: str(value) for key, value in told.items() if key.endswith(("_token", "_image", "_cost"))}
    assert keys == {
        IN: "0.000002",
        OUT: "0.000008",
        "input_cost_per_audio_token": "0.01",
        "cache_read_input_audio_token_cost": "0.02",
        "input_cost_per_image": "0.03",
        "input_cost_per_image_token": "0.04",
        "output_cost_per_reasoning_token": "0.05",
        "output_cost_per_audio_token": "0.06",
        "output_cost_per_image_token": "0.07",
    }


@pytest.mark.parametrize(
    "pricing",
    [
        {"prompt": "-1", "completion": "-1"},
        {"input_cache_read": "-1"},
        {"request": "0.005"},
        {"completion": "0", "image_output": "0.00001"},
        {"completion": "0", "image_output": "0.00001", "overrides": [TIER]},
        {"image_output": "0.00001", "overrides": [TIER | {"completion": "0"}]},
        {"overrides": [TIER | {"prompt": "-1"}]},
        {"overrides": [{"weather": "rain", "prompt": "1"}]},
    ],
)
def test_what_has_no_right_number_has_no_row(pricing: dict[str, Any]) -> None:
    assert written(FORMAT, priced(**pricing)) == {}
