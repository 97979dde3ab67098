"""A table for spreadsheets (`/prices.csv`): a row per model, dimension, tier and window; nothing is left out.

The base price of a dimension has no conditions. An override's prices follow in upstream's order with theirs:
more than `min_prompt_tokens`, from `utc_start` until `utc_end` (which may be past midnight), on `utc_days`;
all must hold, and of two rows that hold the later counts. A condition that we cannot read stands as JSON
under `other_conditions`. Amounts are exact decimals in USD. A dynamic price (the router decides) and an
unknown one have a `state` and no amount. A text that a spreadsheet would take for a formula begins with an
apostrophe.

Source: RFC 4180; https://owasp.org/www-community/attacks/CSV_Injection.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from prices.formats.format import MILLION, CurrentModel, Format
from prices.formats.pricebeat import DEFAULT_UNIT
from prices.pricing.override import WINDOW, Override, is_number
from prices.pricing.price import UNITS, Price, PriceState, plain, times

COLUMNS: Final = (
    *("model", "dimension", "state", "unit", "usd_per_unit", "usd_per_million"),
    *("min_prompt_tokens", "utc_start", "utc_end", "utc_days", "other_conditions", "valid_from", "revision"),
)
NO_CONDITIONS: Final = ("", "", "", "", "")
FORMULA: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20'")
"""What begins a formula, also in full width; the apostrophe as what stands before one must be one of ours."""


def write(models: Sequence[CurrentModel]) -> bytes:
    """Write the table, with its header."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for model in models:
        slug, price = _cell(model.price.slug), model.price
        since = f"{price.valid_from:%Y-%m-%dT%H:%M:%SZ}", price.revision
        for dimension, amount, conditions in _rows(model):
            table.writerow((slug, _cell(dimension), *_amount(dimension, amount), *conditions, *since))
    return text.getvalue().encode()


FORMAT: Final = Format("csv", "/prices.csv", "text/csv; charset=utf-8", write)


def _rows(model: CurrentModel) -> Iterator[tuple[str, Price | None, Sequence[Any]]]:
    schedule = model.price.schedule
    for dimension, price in schedule.base.items():
        yield dimension, price, NO_CONDITIONS
    for dimension in sorted(schedule.unseen):
        yield dimension, None, NO_CONDITIONS
    for entry in schedule.overrides:
        conditions = _conditions(entry)
        for dimension, price in entry.prices:
            yield dimension, price, conditions


def _amount(dimension: str, price: Price | None) -> tuple[str, str, str, str]:
    unit = UNITS.get(dimension, DEFAULT_UNIT)
    if price is None or price.amount is None:
        return PriceState.UNKNOWN if price is None else price.state, unit, "", ""
    million = plain(times(price.amount, MILLION)) if unit == DEFAULT_UNIT else ""
    return price.state, unit, plain(price.amount), million


def _conditions(entry: Override) -> Sequence[Any]:
    rest = dict(entry.conditions)
    size: Any = ""
    if is_number(rest.get("min_prompt_tokens")):
        size = _encode(rest.pop("min_prompt_tokens")).decode()
    start = end = days = ""
    if entry.window is not None:
        if "utc_start" in rest or "utc_end" in rest:
            start, end = (
                f"{clock // 100:02}:{clock % 100:02}" for clock in (entry.window.start, entry.window.end)
            )
        days = " ".join(entry.window.days)
        rest = {name: value for name, value in rest.items() if name not in WINDOW}
    return size, start, end, days, _encode(rest).decode() if rest else ""


def _cell(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
