"""Upstream's JSON as our values.

The list is an envelope `{"data": [model, ...], ...}`:
https://openrouter.ai/docs/api-reference/models/get-models. Each model's JSON is kept as it came, so
that fields we do not know are passed on, within bounds.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from prices.errors import PriceError, UpstreamError, one_line
from prices.pricing.schedule import PriceSchedule
from prices.upstream.json_text import MAX_DEPTH, UNREADABLE, is_readable, read_fields
from prices.upstream.pages import id_of
from prices.upstream.passed_on import MAX_ENVELOPE_BYTES, MAX_ROW_BYTES, DroppedFields

MAX_ID = 255
MAX_MODELS = 100_000
MAX_VALUES = 4_000_000
"""More values than any list of so many models has: what is small as JSON is large as values."""


class OpenRouterModel(msgspec.Struct, frozen=True, gc=False):
    """One entry of upstream's list: its id, its price, and its JSON as it came, without what was dropped."""

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
    dropped: DroppedFields = field(default_factory=DroppedFields)

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


_TELL_OF_MORE = ("links", "total_count")


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_pricing = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse(body: bytes) -> OpenRouterList:
    """Read upstream's body row by row. A bad row is skipped and named; a broken envelope is refused.

    A field that we do not need, and that is too large or that a reader could not read, is dropped and named.

    Raises UpstreamError where the body is no JSON, has no `data`, is one page of several, is empty, has no
    usable row, or more than a process should hold.
    """
    if len(body) > MAX_VALUES and body.count(b",") > MAX_VALUES:
        raise UpstreamError(f"upstream's body has more than {MAX_VALUES:,} values")
    try:
        fields = read_fields(body)
        data = fields.pop("data", None)
        items = _decode_items(data) if data is not None else None
        partial = {name: msgspec.json.decode(fields[name]) for name in _TELL_OF_MORE if name in fields}
    except UNREADABLE as error:
        raise UpstreamError(f"upstream's body is no price list: {one_line(error)}") from error
    if items is None:
        raise UpstreamError("upstream's body has no `data`")
    if len(items) > MAX_MODELS:
        raise UpstreamError(f"upstream's list has more than {MAX_MODELS:,} models")
    _refuse_partial(partial, len(items))
    dropped, seen = DroppedFields(), set[str]()
    passed_on = dropped.passed_on("envelope", fields, MAX_ENVELOPE_BYTES)
    envelope = {name: msgspec.json.decode(raw) for name, raw in passed_on.items()}
    rows = tuple(_parse_row(position, item, seen, dropped) for position, item in enumerate(items))
    if not rows:
        raise UpstreamError("upstream's list is empty")
    listed = OpenRouterList(rows, envelope, dropped)
    if not listed.models:
        raise UpstreamError(f"upstream's list has no usable row; the first: {listed.skipped[0]}")
    return listed


def _refuse_partial(envelope: dict[str, Any], count: int) -> None:
    links = envelope.get("links")
    total = envelope.get("total_count")
    if isinstance(links, dict) and links.get("next"):
        raise UpstreamError("upstream sent one page of several")
    if isinstance(total, int) and total > count:
        raise UpstreamError(f"upstream sent {count} of {str(total)[:20]} models")


def _parse_row(
    position: int, item: msgspec.Raw, seen: set[str], dropped: DroppedFields
) -> OpenRouterModel | SkippedRow:
    document = bytes(item)
    try:
        row = _decode_row(document)
    except UNREADABLE as error:
        return SkippedRow(position, _id_of(document), one_line(error))
    if not 0 < len(row.id) <= MAX_ID or not row.id.isprintable() or " " in row.id:
        return SkippedRow(position, None, "the id cannot be used")
    if row.id in seen:
        return SkippedRow(position, row.id, "the id stands further up already")
    try:
        schedule = _schedule_of(row)
        if len(document) > MAX_ROW_BYTES or not is_readable(document, MAX_DEPTH + 1):
            document = _bounded(document, f"row {position} ({row.id})", dropped)
    except (PriceError, *UNREADABLE) as error:
        return SkippedRow(position, row.id, one_line(error))
    seen.add(row.id)
    return OpenRouterModel(row.id, schedule, document)


def _schedule_of(row: _Row) -> PriceSchedule:
    pricing = bytes(row.pricing)
    if len(pricing) > MAX_ROW_BYTES:
        raise PriceError(f"pricing: {len(pricing):,} bytes are more than {MAX_ROW_BYTES:,}")
    return _read_pricing(pricing)


def _bounded(document: bytes, owner: str, dropped: DroppedFields) -> bytes:
    """Give a row without the fields that are not passed on, and without what only filled it."""
    fields = read_fields(document)
    if not is_readable(fields["pricing"]):
        raise PriceError("pricing: a part of it cannot be read, or nests too deep")
    others = {name: raw for name, raw in fields.items() if name not in _Row.__struct_fields__}
    kept = dropped.passed_on(owner, others, MAX_ROW_BYTES)
    return msgspec.json.encode(
        {name: raw for name, raw in fields.items() if name in kept or name not in others}
    )


@lru_cache(maxsize=1024)
def _read_pricing(pricing: bytes) -> PriceSchedule:
    """Read a model's `pricing`; from one list to the next most are the same bytes."""
    try:
        told = _decode_pricing(pricing)
    except UNREADABLE as error:
        raise PriceError(f"pricing: {one_line(error)}") from None
    return PriceSchedule.parse(told)


def _id_of(document: bytes) -> str | None:
    found = id_of(document)
    return found if found and len(found) <= MAX_ID and found.isprintable() else None
