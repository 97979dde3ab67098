"""Pure: how prices, keys and the list itself move with (virtual) time.

Everything is a closed function of the model's index and the three-hour step, so any moment can be asked for
without playing through what came before.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Pricing = dict[str, Any]

STEP = timedelta(hours=3)
DAY_STEPS, WEEK_STEPS = 8, 56
# Nothing in the catalogue changes between two quarters of an hour.
QUARTER = timedelta(minutes=15)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FACTORS = tuple(map(Decimal, ("1", "0.8", "1.25", "0.5", "0.9", "1.5")))
_BLIP = Decimal("0.7")
_ZERO_KEYS = ("request", "image", "web_search", "internal_reasoning")


def step_of(now: datetime) -> int:
    """The number of whole three-hour steps since 1970."""
    return (now - _EPOCH) // STEP


def quarter_of(now: datetime) -> datetime:
    """The start of the quarter of an hour that `now` lies in."""
    return _EPOCH + (now - _EPOCH) // QUARTER * QUARTER


def factor(index: int, step: int, count: int) -> Decimal:
    """What an ordinary model's first price is multiplied with; about two models of `count` move per step.

    Lasting moves and moves that revert after two steps alternate, since half of upstream's do revert.
    """
    period = max(DAY_STEPS, count * 2 // 3)
    level, since = divmod(step + index * 13 % period, period)
    lasting, reverts = divmod(level + index, 2)
    settled = _FACTORS[(index + lasting) % len(_FACTORS)]
    return settled * _BLIP if reverts and since < 2 else settled


def is_away(index: int, step: int, *, batch: bool) -> bool:
    """Whether an ordinary model has left: one in 29 for 36 hours, all `:batch` ones for two days a week."""
    if batch:
        return step % WEEK_STEPS >= 40
    return index % 29 == 7 and (step + index) % 120 < 12


def flapped(pricing: Pricing, index: int, step: int) -> Pricing:
    """The same prices with keys that come (zeros, in two models of three, one step a day) and go."""
    if step % DAY_STEPS == 5 and index % 3:
        return {**dict.fromkeys(_ZERO_KEYS, "0"), **pricing}
    if index % 60 == step % 60:
        return {key: value for key, value in pricing.items() if key != "input_cache_read"}
    return pricing


def mirrored(pricing: Pricing, now: datetime) -> Pricing:
    """The top-level price as upstream shows it: that of the UTC windows in force, later ones winning."""
    prices = dict(pricing)
    for override in pricing.get("overrides", ()):
        if "min_prompt_tokens" not in override and _in_force(override, now):
            prices.update((key, value) for key, value in override.items() if not key.startswith("utc_"))
    return prices


def _in_force(override: Mapping[str, Any], now: datetime) -> bool:
    clock = now.hour * 100 + now.minute
    start: int
    end: int
    start, end = override.get("utc_start", 0), override.get("utc_end", 2400)
    if "utc_days" in override and now.strftime("%A").lower() not in override["utc_days"]:
        return False
    return start <= clock < end if start < end else clock >= start or clock < end


def plain(price: Decimal) -> str:
    """A price in upstream's spelling: no exponent, no trailing zeros."""
    return format(price.normalize(), "f")
