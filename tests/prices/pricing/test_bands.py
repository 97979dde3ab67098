"""What a model costs roughly: tiers and windows count as the base does."""

from typing import Any

import pytest

from prices.pricing.bands import cost_band, is_free
from tests.support.lists import schedule

FREE = {"prompt": "0", "completion": "0"}
TIER, WINDOW, UNKNOWN = (
    {"min_prompt_tokens": 200_000},
    {"utc_start": 900, "utc_end": 1700},
    {"lunar_phase": "full"},
)


def price(prompt: str, completion: str | None = None) -> dict[str, str]:
    """Prices by USD per million tokens."""
    return {"prompt": f"{prompt}e-6", "completion": f"{completion or prompt}e-6"}


@pytest.mark.parametrize(
    ("base", "overrides", "band"),
    [
        (FREE, [], "free"),
        (FREE, [WINDOW | FREE], "free"),
        (FREE, [WINDOW | price("0.5")], "low"),
        (price("1"), [], "low"),
        (price("1.000001"), [], "medium"),
        (price("1"), [WINDOW | FREE], "low"),
        (price("1"), [TIER | price("6")], "high"),
        (price("1"), [TIER | price("6"), WINDOW | price("2")], "high"),
        (price("30"), [TIER | price("6")], "premium"),
        (price("1"), [TIER | {"completion": "1e-3"}], "premium"),
        (price("1"), [UNKNOWN | price("6")], "high"),
        (price("1"), [TIER | {"prompt": "-1"}], "dynamic"),
        ({"prompt": "-1", "completion": "-1"}, [TIER | price("6")], "dynamic"),
    ],
)
def test_a_band_is_that_of_the_dearest_price_that_can_hold(
    base: dict[str, str], overrides: list[Any], band: str
) -> None:
    assert cost_band(schedule(*overrides, **base)) == band


@pytest.mark.parametrize(
    ("overrides", "free"),
    [
        ([], True),
        ([WINDOW | FREE], True),
        ([WINDOW | price("1")], False),
        ([TIER | {"request": "0.01"}], False),
        ([TIER | {"prompt": "-1"}], False),
        ([UNKNOWN | price("1")], False),
    ],
)
def test_a_model_is_free_where_nothing_of_it_ever_costs(overrides: list[Any], free: bool) -> None:
    assert is_free(schedule(*overrides, **FREE)) is free
    assert not is_free(schedule(*overrides, **FREE, request="0.01"))
