"""models.dev's shape: what opencode needs is there, tiers are exact, and a router has no cost."""

from decimal import Decimal
from typing import Any

from prices.formats.clients.models_dev import FORMAT
from tests.support.formats import NIGHT, TIER, WRITES, priced, written
from tests.support.lists import model


def cost(*overrides: dict[str, Any], **pricing: Any) -> dict[str, Any]:
    told = written(FORMAT, priced(**pricing, overrides=list(overrides)))
    found: dict[str, Any] = told["openrouter"]["models"]["a/one"]["cost"]
    return found


def test_a_model_with_all_that_is_required() -> None:
    one = model(
        "a/one",
        created=1759161676,
        context_length=200000,
        hugging_face_id="a/weights",
        supported_parameters=["tools", "reasoning", "temperature", "structured_outputs"],
        reasoning={"supported_efforts": ["high", "low"]},
        architecture={"input_modalities": ["text", "file", "smell"], "output_modalities": ["text", "image"]},
        top_provider={"max_completion_tokens": 64000},
        pricing={"internal_reasoning": "0.000003"} | WRITES,
    )
    provider = written(FORMAT, one)["openrouter"]
    assert {name: provider[name] for name in ("id", "env", "npm")} == {
        "id": "openrouter",
        "env": ["OPENROUTER_API_KEY"],
        "npm": "@openrouter/ai-sdk-provider",
    }
    assert provider["models"]["a/one"] == {
        "id": "a/one",
        "name": "A/One",
        "attachment": True,
        "reasoning": True,
        "reasoning_options": [{"type": "effort", "values": ["high", "low"]}],
        "tool_call": True,
        "structured_output": True,
        "temperature": True,
        "release_date": "2025-09-29",
        "last_updated": "2026-08-06",
        "modalities": {"input": ["text", "pdf"], "output": ["text", "image"]},
        "open_weights": True,
        "limit": {"context": 200000, "output": 64000},
        "cost": {
            "input": Decimal(1),
            "output": Decimal(2),
            "cache_read": Decimal("0.2"),
            "cache_write": Decimal("2.5"),
            "reasoning": Decimal(3),
        },
    }


def test_a_model_of_which_upstream_says_little() -> None:
    one = written(FORMAT, priced(internal_reasoning="0.1"))["openrouter"]["models"]["a/one"]
    assert (one["release_date"], one["limit"]) == ("2026-08-06", {"context": 0, "output": 0})
    assert one["modalities"] == {"input": ["text"], "output": ["text"]}
    assert "reasoning_options" not in one
    assert "reasoning" not in one["cost"]


def test_cached_tokens_without_a_price_cost_what_the_prompt_costs() -> None:
    assert cost() == {"input": 2, "output": 8, "cache_read": 2, "cache_write": 2}


def test_one_tier_from_200k_on_is_said_for_older_clients_too() -> None:
    above = {"input": 4, "output": 12, "cache_read": 4, "cache_write": 4}
    told = cost(TIER)
    assert told["input"] == 2
    assert told["tiers"] == [above | {"tier": {"type": "context", "size": 200000}}]
    assert told["context_over_200k"] == above


def test_other_tiers_are_tiers_alone() -> None:
    low, high = TIER | {"min_prompt_tokens": 32000}, TIER | {"min_prompt_tokens": 400000, "prompt": "0.1"}
    assert [tier["tier"]["size"] for tier in cost(low, TIER | {"prompt": "0.1"})["tiers"]] == [32000, 200000]
    assert "context_over_200k" not in cost(low)
    assert "context_over_200k" not in cost(low, TIER | {"prompt": "0.1"})
    assert "context_over_200k" not in cost(TIER, high)


def test_a_window_stands_at_the_dearest_time_and_audio_has_keys() -> None:
    told = cost(NIGHT | {"prompt": "0.000005"}, audio="0.00001", audio_output="0.00002")
    assert (told["input"], told["output"]) == (5, 8)
    assert (told["input_audio"], told["output_audio"]) == (10, 20)


def test_free_models_cost_nothing_and_routers_have_no_cost() -> None:
    rows = [model("a/one:free", "0", "0"), model("openrouter/auto", "-1", "-1"), priced(request="0.1")]
    models = written(FORMAT, *rows)["openrouter"]["models"]
    assert set(models["a/one:free"]["cost"].values()) == {0}
    assert "cost" not in models["openrouter/auto"]
    assert "cost" not in models["a/one"]
