"""Rates: which prices of a schedule hold for one request, by its size and its hour.

An override holds where all of its conditions do; among those that hold, later ones win per price, and
what none of them names is the base's. Source: "Pricing Overrides" in
https://openrouter.ai/docs/guides/overview/models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prices.pricing.override import WINDOW, Override, Window, is_number
from prices.pricing.price import Price
from prices.pricing.schedule import PriceSchedule


@dataclass(frozen=True, slots=True)
class Rates:
    """The prices that hold, in USD per unit, and the overrides that set them, in upstream's order.

    `undecided` names the dimensions that an override would price differently of which we cannot tell
    whether it holds, and those whose base price was never seen: their price is unknown.
    """

    prices: Mapping[str, Price]
    applied: tuple[Override, ...]
    undecided: frozenset[str]

    @property
    def known(self) -> dict[str, Price]:
        """The prices of the dimensions whose price can be told."""
        return {name: price for name, price in sorted(self.prices.items()) if name not in self.undecided}

    @property
    def tier(self) -> int | None:
        """The prompt tokens that were exceeded for these prices to hold; None at the base price."""
        tiers = [int(dict(entry.conditions).get("min_prompt_tokens", -1)) for entry in self.applied]
        return next((tier for tier in reversed(tiers) if tier >= 0), None)

    @property
    def window(self) -> Window | None:
        """The hours and days in which these prices hold; None outside of any window."""
        return next((entry.window for entry in reversed(self.applied) if entry.window), None)


def rates_at(schedule: PriceSchedule, at: datetime, prompt_tokens: int, requests: int = 1) -> Rates:
    """Tell the rates at a time of prompts with this many tokens in all, sent in so many requests.

    Raises ValueError where the time has no time zone.
    """
    if at.utcoffset() is None:
        raise ValueError("a price holds at a time with its time zone")
    at = at.astimezone(UTC)
    prices, applied, undecided = dict(schedule.base), [], set(schedule.unseen)
    for entry in schedule.overrides:
        holds = _holds(entry, at, prompt_tokens, requests)
        if holds:
            applied.append(entry)
            prices.update(entry.prices)
            undecided.difference_update(name for name, _ in entry.prices)
        elif holds is None:
            undecided.update(name for name, price in entry.prices if prices.get(name) != price)
    return Rates(prices, tuple(applied), frozenset(undecided))


def _holds(entry: Override, at: datetime, prompt_tokens: int, requests: int) -> bool | None:
    """Whether every condition of an override holds; None where a condition cannot be told.

    Such are a condition that we do not know, a value that is no number, and the size of each prompt
    where only the sum over several requests is known.
    """
    holds = entry.is_open(at)
    if holds is False:
        return False
    for name, value in entry.conditions:
        if name in WINDOW:
            continue
        if name != "min_prompt_tokens" or not is_number(value):
            holds = None
        elif prompt_tokens <= value:
            return False
        elif requests > 1:
            holds = None
    return holds
