"""Upstream's JSON as our values.

The list is an envelope `{"data": [model, ...], ...}`:
https://openrouter.ai/docs/api-reference/models/get-models. Each model's JSON is kept as it came, so
that fields we do not know are passed on.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from prices.errors import PriceError, UpstreamError, one_line
from prices.pricing.schedule import PriceSchedule
from prices.upstream.pages import id_of, without_half_characters

MAX_ID = 255
MAX_MODELS = 100_000
MAX_VALUES = 4_000_000
"""More values than any list of so many models has: what is small as JSON is large as values."""


class OpenRouterModel(msgspec.Struct, frozen=True, gc=False):
    """One entry of upstream's list: its id, its price, and its JSON exactly as it came."""

    id: str
    schedule: PriceSchedule
    document: bytes


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """An entry that could not be used. `id` is known where the entry at least says whose it is."""

    position: int
    id: str | None
    reason: str

    def __str__(self) -> str:
        return f"row {self.position} ({self.id or 'no id'}): {self.reason}"


@dataclass(frozen=True, slots=True)
class OpenRouterList:
    """Upstream's answer: entries in upstream's order, the rest of its envelope, and what was unusable."""

    rows: tuple[OpenRouterModel | SkippedRow, ...]
    envelope: dict[str, Any]

    @property
    def models(self) -> list[OpenRouterModel]:
        """The usable entries."""
        return [row for row in self.rows if isinstance(row, OpenRouterModel)]

    @property
    def skipped(self) -> list[SkippedRow]:
        """The unusable entries."""
        return [row for row in self.rows if isinstance(row, SkippedRow)]


class _Row(msgspec.Struct):
    id: str
    pricing: msgspec.Raw


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_pricing = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_decode_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse(body: bytes) -> OpenRouterList:
    """Read upstream's body row by row. A bad row is skipped and named; a broken envelope is refused.

    Raises UpstreamError where the body is no JSON, has no `data`, is one page of several, is empty, has no
    usable row, or more than a process should hold.
    """
    if len(body) > MAX_VALUES and body.count(b",") > MAX_VALUES:
        raise UpstreamError(f"upstream's body has more than {MAX_VALUES:,} values")
    try:
        fields = _decode_envelope(without_half_characters(body))
        data = fields.pop("data", None)
        items = _decode_items(data) if data is not None else None
        envelope = {name: msgspec.json.decode(raw) for name, raw in fields.items()}
    except _UNREADABLE as error:
        raise UpstreamError(f"upstream's body is no price list: {one_line(error)}") from error
    if items is None:
        raise UpstreamError("upstream's body has no `data`")
    if len(items) > MAX_MODELS:
        raise UpstreamError(f"upstream's list has more than {MAX_MODELS:,} models")
    _refuse_partial(envelope, len(items))
    seen: set[str] = set()
    rows = tuple(_parse_row(position, item, seen) for position, item in enumerate(items))
    if not rows:
        raise UpstreamError("upstream's list is empty")
    listed = OpenRouterList(rows, envelope)
    if not listed.models:
        raise UpstreamError(f"upstream's list has no usable row; the first: {listed.skipped[0]}")
    return listed


def _refuse_partial(envelope: dict[str, Any], count: int) -> None:
    links = envelope.get("links")
    total = envelope.get("total_count")
    if isinstance(links, dict) and links.get("next"):
        raise UpstreamError("upstream sent one page of several")
    if isinstance(total, int) and total > count:
        raise UpstreamError(f"upstream sent {count} of {total} models")


def _parse_row(position: int, item: msgspec.Raw, seen: set[str]) -> OpenRouterModel | SkippedRow:
    document = bytes(item)
    try:
        row = _decode_row(document)
        msgspec.json.decode(document)  # the fields that _Row passes over unread, too
    except _UNREADABLE as error:
        return SkippedRow(position, _id_of(document), one_line(error))
    if not 0 < len(row.id) <= MAX_ID or not row.id.isprintable() or " " in row.id:
        return SkippedRow(position, None, "the id cannot be used")
    if row.id in seen:
        return SkippedRow(position, row.id, "the id stands further up already")
    try:
        schedule = _read_pricing(bytes(row.pricing))
    except PriceError as error:
        return SkippedRow(position, row.id, one_line(error))
    seen.add(row.id)
    return OpenRouterModel(row.id, schedule, document)


@lru_cache(maxsize=1024)
def _read_pricing(pricing: bytes) -> PriceSchedule:
    """Read a model's `pricing`; from one list to the next most are the same bytes."""
    try:
        told = _decode_pricing(pricing)
    except _UNREADABLE as error:
        raise PriceError(f"pricing: {one_line(error)}") from None
    return PriceSchedule.parse(told)


def _id_of(document: bytes) -> str | None:
    found = id_of(document)
    return found if found and len(found) <= MAX_ID and found.isprintable() else None
