"""The one shape of a client format, and what each of them writes from."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from prices.catalogue.records import PriceInterval
from prices.pricing.grid import PriceGrid, price_grid
from prices.pricing.price import plain, times

JSON: Final = "application/json"
MILLION: Final = Decimal(1_000_000)


class Details(msgspec.Struct, frozen=True, gc=False):
    """What upstream's document of a model says that our own list does not keep."""

    created: int | None = None
    max_output: int | None = None
    parameters: frozenset[str] = frozenset()
    efforts: tuple[str, ...] = ()
    open_weights: bool = False

    @classmethod
    def of(cls, document: bytes) -> tuple[str, "Details"]:
        """Read a model's id and details; what is not of the expected kind counts as not there."""
        fields = _decode(document)
        provider = fields.top_provider if isinstance(fields.top_provider, dict) else {}
        reasoning = fields.reasoning if isinstance(fields.reasoning, dict) else {}
        return fields.id, cls(
            _count(fields.created),
            _count(provider.get("max_completion_tokens")),
            frozenset(_texts(fields.supported_parameters)),
            _texts(reasoning.get("supported_efforts")),
            bool(fields.hugging_face_id),
        )


class CurrentModel(msgspec.Struct, frozen=True, gc=False):
    """A model as formats write it: the interval in force, its price as a grid, and its details.

    `grid` is None where a price is dynamic or unknown, or cannot be read.
    """

    price: PriceInterval
    grid: PriceGrid | None
    details: Details

    @classmethod
    def of(cls, price: PriceInterval, details: Details) -> "CurrentModel":
        """Give a model of the current list."""
        return cls(price, price_grid(price.schedule), details)

    @property
    def context_length(self) -> int:
        """The tokens of its context; 0 where upstream does not say."""
        return max(0, self.price.attributes.context_length or 0)


class Format(NamedTuple):
    """A format in which a client takes the catalogue; `write` is pure and keeps upstream's order."""

    name: str
    path: str
    media_type: str
    write: Callable[[Sequence[CurrentModel]], bytes]


@lru_cache(maxsize=4096)
def number(amount: Decimal) -> msgspec.Raw:
    """Write an amount as a JSON number, to its last digit and without an exponent."""
    return msgspec.Raw(plain(amount).encode())


def per_million(amount: Decimal) -> msgspec.Raw:
    """Write USD per token as a JSON number of USD per million tokens."""
    return number(times(amount, MILLION))


class _Document(msgspec.Struct):
    id: str
    created: Any = None
    top_provider: Any = None
    supported_parameters: Any = None
    reasoning: Any = None
    hugging_face_id: Any = None


_decode = msgspec.json.Decoder(_Document).decode
MOST: Final = 10**12
"""A greater count is a mistake; some clients could not read it."""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST else None


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(text for text in values if isinstance(text, str)) if isinstance(values, list) else ()
