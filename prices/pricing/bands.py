"""Bands: roughly what a model costs, for a list that is read by people. Base, tiers and windows all count."""

from collections.abc import Iterator
from decimal import Decimal

from prices.pricing.price import Price, PriceState
from prices.pricing.schedule import PriceSchedule

BANDS = ((Decimal(1), "low"), (Decimal(5), "medium"), (Decimal(20), "high"))
"""Upper bounds, in USD per million tokens, of the mean of three prompt tokens and one completion token."""
_BANDS_OF_FOUR = tuple((4 * bound / 1_000_000, band) for bound, band in BANDS)


def cost_band(schedule: PriceSchedule) -> str:
    """Say what a model costs at its dearest: free, low, medium, high, premium, dynamic, or unknown."""
    if "prompt" not in schedule.base or "completion" not in schedule.base:
        return "unknown"
    prompts, completions = _amounts(schedule, "prompt"), _amounts(schedule, "completion")
    if None in prompts or None in completions:
        return "dynamic"
    four_tokens = 3 * max(filter(None, prompts), default=0) + max(filter(None, completions), default=0)
    if not four_tokens:
        return "free"
    for bound, band in _BANDS_OF_FOUR:
        if four_tokens <= bound:
            return band
    return "premium"


def is_free(schedule: PriceSchedule) -> bool:
    """Whether nothing of a model costs anything, at any time and of any size."""
    return not schedule.unseen and all(price.state is PriceState.FREE for _, price in _all_prices(schedule))


def _amounts(schedule: PriceSchedule, dimension: str) -> list[Decimal | None]:
    """Give every amount that a dimension can cost, None where a router decides."""
    return [price.amount for name, price in _all_prices(schedule) if name == dimension]


def _all_prices(schedule: PriceSchedule) -> Iterator[tuple[str, Price]]:
    """Give the prices of the base and of every override."""
    yield from schedule.base.items()
    for override in schedule.overrides:
        yield from override.prices
