"""OpenLIT's and Crush's shapes, which know one price per model: the dearest, or none."""

from decimal import Decimal
from typing import Any

import pytest

from prices.formats.clients import crush, openlit
from tests.support.formats import NIGHT, OFFICE, TIER, WRITES, priced, written
from tests.support.lists import model


def chat(*rows: Any) -> dict[str, Any]:
    told = written(openlit.FORMAT, *rows)
    assert told.keys() == {"chat", "embeddings", "images", "audio"}
    found: dict[str, Any] = told["chat"]
    return found


def provider(*rows: Any) -> dict[str, Any]:
    (found,) = written(crush.FORMAT, *rows)
    return found  # type: ignore[no-any-return]


def test_openlit_takes_usd_per_thousand_tokens() -> None:
    assert chat(priced(web_search="0.01", **WRITES)) == {
        "a/one": {
            "promptPrice": Decimal("0.002"),
            "completionPrice": Decimal("0.008"),
            "cacheReadPrice": Decimal("0.0002"),
            "cacheCreationPrice": Decimal("0.0025"),
        }
    }
    assert chat(priced())["a/one"].keys() == {"promptPrice", "completionPrice"}


def test_crush_takes_usd_per_million_with_both_prices_of_the_cache() -> None:
    one = model(
        "a/one",
        *("0.000002", "0.000008"),
        context_length=200000,
        supported_parameters=["tools", "reasoning"],
        architecture={"input_modalities": ["text", "image"]},
        reasoning={"supported_efforts": ["low"]},
        pricing=WRITES,
    )
    told = provider(one, model("b/two", "0.000001", "0.000002", supported_parameters=["tools"]))
    assert (told["id"], told["type"]) == ("openrouter", "openrouter")
    assert (told["default_large_model_id"], told["default_small_model_id"]) == ("a/one", "b/two")
    assert told["models"][0] == {
        "id": "a/one",
        "name": "A/One",
        "cost_per_1m_in": 2,
        "cost_per_1m_out": 8,
        "cost_per_1m_in_cached": Decimal("2.5"),
        "cost_per_1m_out_cached": Decimal("0.2"),
        "context_window": 200000,
        "default_max_tokens": 20000,
        "can_reason": True,
        "reasoning_levels": ["low"],
        "supports_attachments": True,
    }
    assert told["models"][1]["cost_per_1m_in_cached"] == told["models"][1]["cost_per_1m_out_cached"] == 1


@pytest.mark.parametrize("entry", [TIER, NIGHT | {"prompt": "0.000004"}, OFFICE | {"prompt": "0.000004"}])
def test_both_state_the_dearest_size_and_time(entry: dict[str, Any]) -> None:
    row = priced(overrides=[entry])
    assert chat(row)["a/one"]["promptPrice"] == Decimal("0.004")
    assert provider(row)["models"][0]["cost_per_1m_in"] == 4


def test_both_have_free_models_and_neither_a_number_for_a_router_or_a_price_per_request() -> None:
    rows = model("a/free:free", "0", "0"), model("openrouter/auto", "-1", "-1"), priced(request="0.005")
    assert chat(*rows) == {"a/free:free": {"promptPrice": 0, "completionPrice": 0}}
    assert [one["id"] for one in provider(*rows)["models"]] == ["a/free:free"]


def test_the_defaults_of_crush_take_tools_and_the_small_one_costs_something() -> None:
    tools = {"supported_parameters": ["tools"]}
    rows = (
        model("a/no-tools", "0.000001", "0.000001"),
        model("b/free:free", "0", "0", **tools),
        model("c/large", "0.000005", "0.000005", **tools),
        model("d/small", "0.000002", "0.000002", **tools),
    )
    told = provider(*rows)
    assert (told["default_large_model_id"], told["default_small_model_id"]) == ("b/free:free", "d/small")
    alone = provider(*rows[:2])
    assert (alone["default_large_model_id"], alone["default_small_model_id"]) == ("b/free:free",) * 2


def test_crush_has_no_default_where_there_is_no_model() -> None:
    assert provider(model("openrouter/auto", "-1", "-1"))["models"] == []
