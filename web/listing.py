"""Which models a page shows: searched, sorted, and cut into parts by a few fields of each.

Only what is shown is shaped for display, so that a page costs the same however long the list is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from web.price_table import Row, table_row

SORTS: Final = ("name", "context", "prompt", "completion")
ORDERS: Final = ("asc", "desc")
PART_ROWS: Final = 1000
"""How many models a page shows: more than OpenRouter has ever listed, and about 100 ms of work."""
MAX_SHAPED: Final = 2048
"""How many models are kept shaped for display: two pages, or several revisions of a usual list."""

Key = str | int | Decimal | None


class _Price(msgspec.Struct):
    per_million: str | None = None


class _Entry(msgspec.Struct):
    id: str
    name: str
    context_length: int | None
    prices: dict[str, _Price]


@dataclass(frozen=True, slots=True)
class Listed:
    """One model: its entry of `/api/v1/prices`, what a search looks through, and what it is sorted by.

    A key that is None is not known, and sorts last.
    """

    entry: msgspec.Raw
    hay: str
    keys: dict[str, Key]


@dataclass(frozen=True, slots=True)
class Part:
    """One page's part of what was found: its rows, its number from 1 on, and how many there are of both."""

    rows: tuple[Row, ...]
    number: int
    parts: int
    found: int

    @property
    def first(self) -> int:
        """The place of its first row, from 1 on."""
        return (self.number - 1) * PART_ROWS + 1


class Listing:
    """The models of one revision, in upstream's order and in every other that was asked for."""

    def __init__(self, prices_body: bytes) -> None:
        self._models = [_listed(entry) for entry in _decode_list(prices_body).data]
        self._arranged: dict[tuple[str, str], list[Listed]] = {}

    def __len__(self) -> int:
        return len(self._models)

    @property
    def is_cut(self) -> bool:
        """Whether one page cannot show all models."""
        return len(self) > PART_ROWS

    def part(self, sought: str, sort: str | None, order: str, number: int) -> Part:
        """Give a part of the models whose id or name holds `sought`, sorted. Beyond the last it has no rows.

        `sort` is one of `SORTS`, None for upstream's order, and `order` one of `ORDERS`.
        """
        models: Sequence[Listed] = self._sorted(sort, order) if sort else self._models
        if sought:
            folded = sought.casefold()
            models = [model for model in models if folded in model.hay]
        parts = max(1, -(-len(models) // PART_ROWS))
        shown = models[(number - 1) * PART_ROWS : number * PART_ROWS]
        return Part(tuple(_shaped(bytes(model.entry)) for model in shown), number, parts, len(models))

    def _sorted(self, sort: str, order: str) -> list[Listed]:
        """Sort once per revision: equals stay as they came."""
        made = self._arranged.get((sort, order))
        if made is None:
            known = [model for model in self._models if model.keys[sort] is not None]
            known.sort(key=lambda model: model.keys[sort], reverse=order == "desc")  # type: ignore[arg-type,return-value]  # a column's keys are of one type
            made = known + [model for model in self._models if model.keys[sort] is None]
            self._arranged[sort, order] = made
        return made


def _listed(entry: msgspec.Raw) -> Listed:
    fields = _decode_entry(entry)
    keys: dict[str, Key] = {
        "name": fields.name.casefold(),
        "context": fields.context_length,
        "prompt": _per_million(fields.prices.get("prompt")),
        "completion": _per_million(fields.prices.get("completion")),
    }
    return Listed(entry, f"{fields.id}\n{fields.name}".casefold(), keys)


def _per_million(price: _Price | None) -> Decimal | None:
    return Decimal(price.per_million) if price and price.per_million else None


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_decode_list = msgspec.json.Decoder(_List).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode
_shaped = lru_cache(maxsize=MAX_SHAPED)(table_row)
