"""Costs: what a call cost by the schedule in force at its time, exact to the last digit, in USD.

Each unit is priced once, by the dimension that names it most closely; one that has no price of its own
costs what the whole costs that it is part of (FALL_BACKS). Writes to the cache for an hour cost first as
other writes do: `input_cache_write_1h` stands only where the longer lifetime is priced apart. Tokens of
video and files have no dimension: they are prompt. A web search, or an image where images are stated, has
no whole: without a price it is unknown. A request adds nothing where `request` has no price, as providers
omit what they do not bill. Sources: PublicPricing in https://openrouter.ai/openapi.yaml,
https://openrouter.ai/docs/guides/best-practices/prompt-caching, and "Pricing" in
https://openrouter.ai/docs/guides/community/for-providers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from prices.pricing.override import Window
from prices.pricing.price import UNITS, PriceState, plain, times, total_of
from prices.pricing.rates import Rates, rates_at
from prices.pricing.schedule import PriceSchedule
from prices.pricing.usage import read_usage

FALL_BACKS: Mapping[str, tuple[str, ...]] = {
    "input_cache_read": ("prompt",),
    "input_cache_write": ("prompt",),
    "input_cache_write_1h": ("input_cache_write", "prompt"),
    "audio": ("prompt",),
    "input_audio_cache": ("input_cache_read", "audio", "prompt"),
    "image_token": ("prompt",),
    "internal_reasoning": ("completion",),
    "audio_output": ("completion",),
    "image_output": ("completion",),
}
"""Whose price a dimension takes, in this order, where it has none of its own."""

EXTRAS = frozenset(("internal_reasoning",))
"""Dimensions whose price of zero says "nothing beside the whole's": reasoning tokens are output tokens and
charged accordingly. Source: https://openrouter.ai/docs/use-cases/reasoning-tokens.
"""


@dataclass(frozen=True, slots=True)
class CostLine:
    """What the units of one dimension cost, in USD, by the price of `priced_as`.

    A dynamic or unknown line has neither unit price nor amount, an unknown one no `priced_as` either.
    """

    dimension: str
    quantity: int
    state: PriceState
    priced_as: str | None = None
    unit_price: str | None = None
    amount: Decimal | None = None

    def to_builtins(self) -> dict[str, Any]:
        """Give the line as JSON has it, amounts as plain decimal texts."""
        return {
            "dimension": self.dimension,
            "quantity": self.quantity,
            "unit": UNITS.get(self.dimension, "token"),
            "state": self.state.value,
            "priced_as": self.priced_as,
            "unit_price": self.unit_price,
            "amount": _text(self.amount),
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost: a line for each dimension that it used, and the rates that held.

    The `discount` that upstream tells beside its prices is taken off already in what is listed. Source:
    https://openrouter.ai/docs/guides/community/for-providers#discounts-with-discount_to_user.
    """

    lines: tuple[CostLine, ...]
    rates: Rates
    markup: Decimal

    @property
    def known_total(self) -> Decimal:
        """USD for the lines that have an amount, and for no others."""
        return total_of(line.amount for line in self.lines if line.amount is not None)

    @property
    def total(self) -> Decimal | None:
        """USD for the whole; None where any line has no amount."""
        return None if any(line.amount is None for line in self.lines) else self.known_total

    @property
    def retail_total(self) -> Decimal | None:
        """The total times the markup."""
        return None if self.total is None else times(self.total, self.markup)

    def in_state(self, state: PriceState) -> list[str]:
        """Name the dimensions that were used and whose price is in this state."""
        return [line.dimension for line in self.lines if line.state is state]

    def to_builtins(self) -> dict[str, Any]:
        """Give the cost as JSON has it, amounts as plain decimal texts."""
        tier, window = self.rates.tier, self.rates.window
        return {
            "currency": "USD",
            "total": _text(self.total),
            "known_total": _text(self.known_total),
            "dynamic": self.in_state(PriceState.DYNAMIC),
            "unknown": self.in_state(PriceState.UNKNOWN),
            "markup": _text(self.markup),
            "retail_total": _text(self.retail_total),
            "tier": None if tier is None else {"min_prompt_tokens": tier},
            "window": window and _window(window),
            "lines": [line.to_builtins() for line in self.lines],
        }


def cost_of(usage: object, schedule: PriceSchedule, at: datetime, markup: Decimal) -> Cost:
    """Price a `usage` as decoded from JSON by the schedule in force at a time with its time zone.

    Raises UsageError that names the field which cannot be.
    """
    used = read_usage(usage)
    rates = rates_at(schedule, at, used.prompt_tokens, used.requests)
    priced = rates.prices.keys() | rates.undecided
    lines = (
        _line(dimension, quantity, rates)
        for dimension, quantity in used.quantities.items()
        if dimension != "request" or dimension in priced
    )
    return Cost(tuple(lines), rates, markup)


def _line(dimension: str, quantity: int, rates: Rates) -> CostLine:
    for name in (dimension, *FALL_BACKS.get(dimension, ())):
        if name in rates.undecided:
            break
        price = rates.prices.get(name)
        if price is None or (name in EXTRAS and price.state is PriceState.FREE):
            continue
        if price.amount is None:
            return CostLine(dimension, quantity, price.state, name)
        amount = times(price.amount, Decimal(quantity))
        return CostLine(dimension, quantity, price.state, name, price.text, amount)
    return CostLine(dimension, quantity, PriceState.UNKNOWN)


def _window(window: Window) -> dict[str, Any]:
    hours = {"utc_start": window.start, "utc_end": window.end}
    return hours | {"utc_days": window.days} if window.days else hours


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
