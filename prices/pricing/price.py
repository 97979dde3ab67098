"""Prices as values: exact text, Decimal, and the states that must never be mixed up.

USD per unit (token, request, image, search ...). No float ever holds a price. Source of the rules:
OpenRouter's models API, https://openrouter.ai/docs/api-reference/models/get-models.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache

import msgspec
from msgspec.structs import force_setattr

from prices.errors import PriceError

MAX_TEXT = 64
MAX_DIGITS = 40
"""More digits than any price has: bounds what a hostile exponent can unfold to."""

MAX_NAME = 64
"""A longer key is no dimension that anybody prices by, and has no place in a table."""

UNITS: Mapping[str, str] = {"request": "request", "image": "image", "web_search": "search"}
"""What a dimension is priced by, where that is not a token."""

DIMENSIONS = frozenset(
    (
        *("prompt", "completion", "request", "image", "image_token", "image_output", "audio", "audio_output"),
        *("input_audio_cache", "web_search", "internal_reasoning"),
        *("input_cache_read", "input_cache_write", "input_cache_write_1h"),
    )
)
"""What must be a price; another key may be one, and is passed over where it is not."""


class PriceState(StrEnum):
    """What a price tells. A dimension without any price is unknown."""

    PRICED = "priced"
    FREE = "free"
    DYNAMIC = "dynamic"
    UNKNOWN = "unknown"


class Price(msgspec.Struct, frozen=True, gc=False):
    """USD for one unit, with upstream's own text; `-1` is not an amount but says "dynamic".

    `amount` is USD per unit, None where the router decides; it follows from the text.
    """

    text: str
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "amount", None if self.text == "-1" else Decimal(self.text))

    @classmethod
    def parse(cls, value: object) -> "Price":
        """Read upstream's string or number; "-0" is "0". Raises PriceError for anything else."""
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise PriceError(f"{shown(value)} is not a price")
        try:
            return _from_text(str(value))
        except PriceError as error:
            raise PriceError(f"{shown(value)} {error}") from None

    @property
    def state(self) -> PriceState:
        """Free, dynamic or priced."""
        return _STATES.get(self.text, PriceState.PRICED)


_STATES = {"0": PriceState.FREE, "-1": PriceState.DYNAMIC}


# An amount above zero as upstream writes nearly all of them, with fewer digits than MAX_DIGITS.
_is_usual = re.compile(r"(?=.*[1-9])[0-9]{1,20}\.[0-9]{1,38}", re.ASCII).fullmatch


@lru_cache(maxsize=4096)
def _from_text(text: str) -> Price:
    """Read a price's text; a list has many prices and few different ones. Raises PriceError: what it is."""
    if len(text) > MAX_TEXT:
        raise PriceError("is longer than a price can be")
    if _is_usual(text):
        return Price(text)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise PriceError("is not a decimal number") from None
    if not amount.is_finite() or not text.isascii() or "_" in text or text != text.strip():
        raise PriceError("is not a decimal number")
    if amount == 0:
        return Price("0")
    if amount == -1:
        return Price("-1")
    if amount < 0:
        raise PriceError("is a negative price")
    if not -MAX_DIGITS < amount.adjusted() < MAX_DIGITS:
        raise PriceError("is beyond any price")
    if not set(text) <= set("0123456789."):
        text = f"{amount:f}"
    if len(text) > MAX_TEXT:
        raise PriceError("is longer than a price can be")
    return Price(text)


def is_name(key: str) -> bool:
    """Whether a key may name a dimension."""
    return len(key) <= MAX_NAME and key.isprintable()


def read_price(place: str, key: str, value: object) -> Price | None:
    """Read what must be a price or, under a key that is no known dimension, may be one."""
    try:
        return Price.parse(value)
    except PriceError as error:
        if key in DIMENSIONS:
            raise PriceError(f"{place}.{key}: {error}") from None
        return None


def shown(value: object) -> str:
    """Quote what is no price, cut to what an error's line can hold."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:36]}..."


_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Decimal alone keeps 28 digits; sums and products of finite amounts never need more than they have here."""


def times(amount: Decimal, *factors: Decimal) -> Decimal:
    """Multiply without rounding."""
    for factor in factors:
        amount = _EXACT.multiply(amount, factor)
    return amount


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """Add without rounding; nothing adds up to 0."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def plain(amount: Decimal) -> str:
    """Write an amount without exponent and without trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
