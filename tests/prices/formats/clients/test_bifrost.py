"""Bifrost's sheet: LiteLLM's keys with `provider`; what its three tiers cannot say stands dearer."""

from decimal import Decimal
from typing import Any

from prices.formats.clients.bifrost import FORMAT
from tests.support.formats import NIGHT, TIER, WRITES, priced, written
from tests.support.lists import model

IN = "input_cost_per_token"


def row(*overrides: dict[str, Any], **pricing: Any) -> dict[str, Any]:
    found: dict[str, Any] = written(FORMAT, priced(**pricing, overrides=list(overrides)))["openrouter/a/one"]
    return found


def test_a_plain_model_with_cache_and_search() -> None:
    assert row(web_search="0.01", **WRITES) == {
        "provider": "openrouter",
        "mode": "chat",
        IN: Decimal("0.000002"),
        "output_cost_per_token": Decimal("0.000008"),
        "cache_read_input_token_cost": Decimal("0.0000002"),
        "cache_creation_input_token_cost": Decimal("0.0000025"),
        "cache_creation_input_token_cost_above_1hr": Decimal("0.000004"),
        "search_context_cost_per_query": {
            f"search_context_size_{size}": Decimal("0.01") for size in ("low", "medium", "high")
        },
    }


def test_a_tier_that_it_reads_is_exact() -> None:
    told = row(TIER | {"input_cache_write_1h": "0.000008"}, **WRITES)
    assert told[IN] == told[f"{IN}_above_128k_tokens"] == Decimal("0.000002")
    assert told[f"{IN}_above_200k_tokens"] == told[f"{IN}_above_272k_tokens"] == Decimal("0.000004")
    assert told["cache_read_input_token_cost_above_200k_tokens"] == Decimal("0.0000002")
    assert told["cache_creation_input_token_cost_above_1hr"] == Decimal("0.000004")
    assert told["cache_creation_input_token_cost_above_1hr_above_200k_tokens"] == Decimal("0.000008")


def test_a_tier_between_those_stands_from_the_size_before_it() -> None:
    told = row(
        TIER | {"min_prompt_tokens": 32000}, TIER | {"min_prompt_tokens": 256000, "prompt": "0.000009"}
    )
    assert told[IN] == told[f"{IN}_above_128k_tokens"] == Decimal("0.000004")
    assert told[f"{IN}_above_200k_tokens"] == told[f"{IN}_above_272k_tokens"] == Decimal("0.000009")


def test_a_tier_that_is_cheaper_is_exact_too() -> None:
    told = row(TIER | {"prompt": "0.000001"})
    assert told[f"{IN}_above_128k_tokens"] == Decimal("0.000002")
    assert told[f"{IN}_above_200k_tokens"] == Decimal("0.000001")


def test_the_cache_has_no_tier_above_128k_so_its_base_price_holds_up_to_200k() -> None:
    told = row({"min_prompt_tokens": 150000, "input_cache_read": "0.000001"}, **WRITES)
    assert told["cache_read_input_token_cost"] == Decimal("0.000001")
    assert "cache_read_input_token_cost_above_128k_tokens" not in told


def test_a_window_stands_at_the_dearest_time() -> None:
    told = row(NIGHT | {"completion": "0.00001"})
    assert (told[IN], told["output_cost_per_token"]) == (Decimal("0.000002"), Decimal("0.00001"))


def test_free_models_have_rows_and_routers_none() -> None:
    rows = written(FORMAT, model("a/one:free", "0", "0"), model("openrouter/auto", "-1", "-1"))
    assert list(rows) == ["openrouter/a/one:free"]
    assert rows["openrouter/a/one:free"][IN] == 0
