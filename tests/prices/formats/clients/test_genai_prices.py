"""genai-prices' feed: tiers and hours are exact, and each price has those that it needs."""

from typing import Any

import pytest

from prices.formats.clients.genai_prices import FORMAT
from tests.support.formats import NIGHT, OFFICE, TIER, WRITES, priced, written
from tests.support.lists import model


def prices(*overrides: dict[str, Any], **pricing: Any) -> Any:
    (provider,) = written(FORMAT, priced(**pricing, overrides=list(overrides)))
    (one,) = provider["models"]
    return one["prices"]


def test_a_plain_model() -> None:
    (provider,) = written(
        FORMAT, model("a/One", "0.00000010333333333333333", "0.000008", context_length=128000)
    )
    assert provider == {
        "id": "openrouter",
        "name": "OpenRouter",
        "api_pattern": r"https?://(www\.)?openrouter\.ai",
        "models": [
            {
                "id": "a/One",
                "name": "A/One",
                "match": {"equals": "a/One"},
                "context_window": 128000,
                "prices": {"input_mtok": "0.10333333333333333", "output_mtok": "8"},
            }
        ],
    }


def test_the_cache_and_what_is_counted() -> None:
    assert prices(request="0.005", web_search="0.01", image="0.1", **WRITES) == {
        "input_mtok": "2",
        "output_mtok": "8",
        "cache_read_mtok": "0.2",
        "cache_write_mtok": "2.5",
        "cache_write_1h_mtok": "4",
        "requests_kcount": "5",
        "web_searches_kcount": "10",
    }


def test_a_tier() -> None:
    assert prices(TIER, {"min_prompt_tokens": 400000, "prompt": "0.000006"}, **WRITES) == {
        "input_mtok": {
            "base": "2",
            "tiers": [{"start": 200000, "price": "4"}, {"start": 400000, "price": "6"}],
        },
        "output_mtok": {
            "base": "8",
            "tiers": [{"start": 200000, "price": "12"}, {"start": 400000, "price": "12"}],
        },
        "cache_read_mtok": "0.2",
        "cache_write_mtok": "2.5",
        "cache_write_1h_mtok": "4",
    }


@pytest.mark.parametrize(("base", "above"), [("0.01", "0"), ("0", "0.01"), (None, "0.01")])
@pytest.mark.parametrize(
    ("dimension", "key"), [("web_search", "web_searches_kcount"), ("request", "requests_kcount")]
)
def test_what_is_counted_may_cost_nothing_on_one_side_of_a_tier(
    dimension: str, key: str, base: str | None, above: str
) -> None:
    tier = {"min_prompt_tokens": 200000, dimension: above}
    told = prices(tier, **({} if base is None else {dimension: base}))
    assert told[key] == {
        "base": "10" if base == "0.01" else "0",
        "tiers": [{"start": 200000, "price": "10" if above == "0.01" else "0"}],
    }


def test_a_window_and_a_tier_within_it() -> None:
    assert prices(TIER, NIGHT) == [
        {
            "prices": {
                "input_mtok": {"base": "2", "tiers": [{"start": 200000, "price": "4"}]},
                "output_mtok": {"base": "8", "tiers": [{"start": 200000, "price": "12"}]},
            }
        },
        {
            "constraint": {"start_time": "16:30:00", "end_time": "00:30:00"},
            "prices": {"input_mtok": "1", "output_mtok": "4"},
        },
    ]


def test_an_hour_of_some_days_stands_at_its_dearest_day() -> None:
    assert prices(OFFICE) == [
        {"prices": {"input_mtok": "2", "output_mtok": "8"}},
        {
            "constraint": {"start_time": "09:00:00", "end_time": "17:00:00"},
            "prices": {"input_mtok": "3", "output_mtok": "8"},
        },
    ]


@pytest.mark.parametrize(
    ("pricing", "added"),
    [
        ({"input_cache_write_1h": "0.000004"}, {"cache_write_1h_mtok": "4", "cache_write_mtok": "2"}),
        (
            {"audio": "0.00001", "input_cache_read": "0.000001"},
            {"input_audio_mtok": "10", "cache_read_mtok": "1", "cache_audio_read_mtok": "1"},
        ),
        (
            {"input_audio_cache": "0.000001"},
            {"input_audio_mtok": "2", "cache_read_mtok": "2", "cache_audio_read_mtok": "1"},
        ),
        (
            {"audio": "0.00001", "input_cache_write": "0.000003", "input_cache_write_1h": "0.000004"},
            {
                "input_audio_mtok": "10",
                "cache_write_mtok": "3",
                "cache_write_1h_mtok": "4",
                "cache_audio_write_mtok": "3",
                "cache_audio_write_1h_mtok": "4",
            },
        ),
        (
            {"image_token": "0.000003", "input_cache_read": "0.000001"},
            {"input_image_mtok": "3", "cache_read_mtok": "1", "cache_image_read_mtok": "1"},
        ),
        (
            {"internal_reasoning": "0.000009", "image_output": "0.00003", "audio_output": "0.000001"},
            {
                "output_reasoning_mtok": "9",
                "output_image_mtok": "30",
                "output_audio_mtok": "1",
                "output_image_reasoning_mtok": "30",
                "output_audio_reasoning_mtok": "9",
            },
        ),
    ],
)
def test_a_price_has_those_that_it_needs(pricing: dict[str, str], added: dict[str, str]) -> None:
    assert prices(**pricing) == {"input_mtok": "2", "output_mtok": "8"} | added


def test_free_models_cost_nothing_and_routers_are_left_out() -> None:
    (provider,) = written(FORMAT, model("a/one:free", "0", "0"), model("openrouter/auto", "-1", "-1"))
    assert [(one["id"], one["prices"]) for one in provider["models"]] == [
        ("a/one:free", {"input_mtok": "0", "output_mtok": "0"})
    ]
