"""Pure: the price list as the page shows it. Amounts become texts, in USD; no state turns into another.

A price that is not known is an en dash, one that a router decides is "dynamic", and zero is "free".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, Final

import msgspec

from prices.pricing.override import DAYS, WINDOW

UNKNOWN: Final = "–"
COLUMNS: Final = {
    "prompt": "Prompt",
    "completion": "Completion",
    "input_cache_read": "Cache read",
    "input_cache_write": "Cache write",
}
"""The dimensions with a column of their own; a model's others stand together in one."""
LABELS: Final = {
    "web_search": "search",
    "internal_reasoning": "reasoning",
    "input_audio_cache": "audio cache",
    "input_cache_read": "cache read",
    "input_cache_write": "cache write",
    "input_cache_write_1h": "cache write 1 h",
}
MAX_NAME: Final = 160
MAX_LABEL: Final = 40
MAX_AMOUNT: Final = 15
MAX_WHOLE: Final = 10**15
EXACT_DIGITS, ROUNDED_DECIMALS = 6, 4
_ALL_DIGITS: Final = Context(prec=200)
_SHORT: Final = Context(prec=4)


@dataclass(frozen=True, slots=True)
class Shown:
    """One cell: its text, its style, and the exact amount where the text had to be rounded."""

    text: str
    style: str
    exact: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One model as it is shown."""

    id: str
    name: str
    flags: tuple[str, ...]
    band: str
    context: str
    cells: tuple[tuple[str, Shown], ...]
    retail: tuple[tuple[str, Shown], ...]
    others: tuple[str, ...]
    marker: str
    overrides: tuple[str, ...]
    held: str


def table_row(encoded: bytes) -> Row:
    """Shape an entry of `/api/v1/prices`, as it stands there."""
    entry = _decode(encoded)
    prices, name, length = entry["prices"], str(entry["name"]), entry["context_length"]
    return Row(
        id=entry["id"],
        name=name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…",
        flags=tuple(flag for flag, is_set in entry["flags"].items() if is_set),
        band=entry["cost_band"],
        context=UNKNOWN if length is None else f"{length:,}",
        cells=tuple((column, _cell(prices.get(column), "per_million")) for column in COLUMNS),
        retail=tuple(
            (column, _cell(prices.get(column), "retail_per_million")) for column in ("prompt", "completion")
        ),
        others=tuple(_in_words(key, price) for key, price in prices.items() if key not in COLUMNS),
        marker=marker(entry["overrides"]),
        overrides=tuple(_override(override) for override in entry["overrides"]),
        held=_held(entry["held"]),
    )


def _cell(price: Mapping[str, Any] | None, measure: str) -> Shown:
    if price is None or price["state"] == "unknown":
        return Shown(UNKNOWN, "unknown")
    if price["state"] != "priced":
        return Shown(price["state"], price["state"])
    return amount_shown(price[measure])


def amount_shown(text: str) -> Shown:
    """Write an amount with at least two decimals. One with too many digits is rounded, and says so."""
    amount = Decimal(text)
    shown = amount
    if (
        _decimals(amount) > ROUNDED_DECIMALS
        and len(amount.normalize(_ALL_DIGITS).as_tuple().digits) > EXACT_DIGITS
    ):
        shown = min(round(amount, ROUNDED_DECIMALS), _SHORT.plus(amount), key=lambda near: abs(near - amount))
    decimals = max(2, _decimals(shown))
    told = f"{shown:,.{decimals}f}"
    if len(told) > MAX_AMOUNT:
        told, shown = f"{amount:.3e}", Decimal()
    rounded = shown != amount
    return Shown(f"≈{told}" if rounded else told, f"d{min(decimals, 4)}", text if rounded else "")


def _decimals(amount: Decimal) -> int:
    return max(0, -int(amount.normalize(_ALL_DIGITS).as_tuple().exponent))


def _in_words(key: str, price: Mapping[str, Any]) -> str:
    label = LABELS.get(key, key.replace("_", " ")[:MAX_LABEL])
    if price["state"] != "priced":
        return f"{label} {price['state']}"
    if price["unit"] == "token":
        return f"{label} ${amount_shown(price['per_million']).text}/M"
    return f"{label} ${amount_shown(price['per_unit']).text}"


def _held(held: Mapping[str, Any] | None) -> str:
    return f"held since {moment_text(held['since'])}: {held['reason']}" if held else ""


def marker(overrides: Sequence[Mapping[str, Any]]) -> str:
    """Say what makes the price another: "2 tiers", "1 window", "3 tiers and windows"."""
    tiers = any("min_prompt_tokens" in override for override in overrides)
    windows = any(name in override for override in overrides for name in WINDOW)
    if tiers and windows:
        return f"{len(overrides)} tiers and windows"
    kind = "tier" if tiers else "window" if windows else "condition"
    return f"{len(overrides)} {kind}{'s' if len(overrides) > 1 else ''}" if overrides else ""


def _override(override: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in override.items() if key != "prices"}
    conditions = []
    if isinstance(tokens := rest.get("min_prompt_tokens"), int):
        conditions.append(f"above {tokens:,} prompt tokens")
        del rest["min_prompt_tokens"]
    if isinstance(start := rest.get("utc_start"), int) and isinstance(end := rest.get("utc_end"), int):
        conditions.append(f"{_time_of_day(start)}–{_time_of_day(end)} UTC")
        del rest["utc_start"], rest["utc_end"]
    if isinstance(days := rest.get("utc_days"), list) and all(day in DAYS for day in days):
        conditions.append("on " + ", ".join(day[:3].title() for day in days))
        del rest["utc_days"]
    conditions += [f"{key} {value}"[: 2 * MAX_LABEL] for key, value in rest.items()]
    prices = [_in_words(key, price) for key, price in override["prices"].items()]
    return f"{', '.join(conditions)}: {', '.join(prices)}"


def _time_of_day(hhmm: int) -> str:
    return f"{hhmm // 100:02d}:{hhmm % 100:02d}"


def age_text(seconds: float) -> str:
    """Say how long: "less than a minute", "4 min", "2 h 56 min", "3 d 4 h". `prices.js` says the same."""
    minutes = int(seconds // 60)
    hours, days = minutes // 60, minutes // 1440
    if minutes < 1:
        return "less than a minute"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


def moment_text(at: str | datetime) -> str:
    """Say when, given a time or its ISO 8601 text: "21 Nov, 20:48 UTC"."""
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return f"{moment.astimezone(UTC):%-d %b, %H:%M} UTC"


def _number(text: str) -> Decimal | int:
    """Read a number that is written with a point or an exponent; upstream may write 200000.0 for 200000."""
    number = Decimal(text)
    is_whole = abs(number) < MAX_WHOLE and number == number.to_integral_value()
    return int(number) if is_whole else number


_decode = msgspec.json.Decoder(float_hook=_number).decode
