"""Upstream's list in pages, put together as one body in upstream's own shape. Pure.

Since July 2026 upstream sends `total_count` and `links.next`. The link is null for a whole list, and leads to
the next page where upstream sends the list in parts.
"""

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from prices.errors import UpstreamError, one_line
from prices.upstream.json_text import UNREADABLE, read_fields

MAX_PAGES = 200
"""As many as 100,000 models take at upstream's default of 500 a page."""

_HAS_LINK = re.compile(rb'"next"\s*:\s*"').search
_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_links = msgspec.json.Decoder(dict[str, Any]).decode


class _Named(msgspec.Struct):
    id: str


_decode_named = msgspec.json.Decoder(_Named).decode


class Pages:
    """Takes pages in their order. A list of one page stays byte for byte as it came."""

    def __init__(self) -> None:
        self._addresses: set[str] = set()
        self._first: bytes | None = None
        self._envelope: dict[str, msgspec.Raw] = {}
        self._rows: list[msgspec.Raw] = []
        self._ids: set[str] = set()

    def add(self, address: str, body: bytes) -> str | None:
        """Take the page that an address gave; give the address of the next one, None after the last.

        Raises UpstreamError for a link to another origin or to a page that was read, a page without models, a
        model that stands on two, a later page that is no list, and too many pages. A first page that is none
        is left to who reads it.
        """
        self._addresses.add(address)
        if self._first is None:
            self._first = body
            if not _HAS_LINK(body):
                return None
        try:
            envelope = read_fields(body)
            rows = _decode_rows(envelope.pop("data", msgspec.Raw(b"null")))
            link = _decode_links(envelope.get("links", msgspec.Raw(b"{}"))).get("next")
        except UNREADABLE as error:
            if len(self._addresses) == 1:
                return None
            raise UpstreamError(f"page {len(self._addresses)} is no price list: {one_line(error)}") from error
        self._envelope = self._envelope or envelope
        self._add_rows(rows)
        if link is None or link == "":
            return None
        return self._following(address, link, rows)

    def whole(self) -> bytes:
        """Give the list as one body. Raises UpstreamError where upstream says another number of models."""
        if len(self._addresses) <= 1:
            return self._first or b""
        total = self._envelope.get("total_count")
        if total not in (None, msgspec.Raw(b"null")) and bytes(total) != b"%d" % len(self._rows):
            told = bytes(total)[:20].decode(errors="replace")
            raise UpstreamError(f"upstream's pages hold {len(self._rows)} models, and its total is {told}")
        links = _decode_links(self._envelope.get("links", msgspec.Raw(b"{}"))) | {"next": None}
        return msgspec.json.encode({"data": self._rows, **self._envelope, "links": links})

    def _add_rows(self, rows: list[msgspec.Raw]) -> None:
        """Add the rows of a page. One that repeats a model is an earlier one again, or the list has moved."""
        ids = {found for row in rows if (found := id_of(row)) is not None}
        if ids & self._ids:
            raise UpstreamError("upstream's pages hold a model twice: the list moved while it was read")
        self._ids |= ids
        self._rows += rows

    def _following(self, address: str, link: object, rows: list[msgspec.Raw]) -> str:
        if not isinstance(link, str):
            raise UpstreamError("upstream's link to the next page is no text")
        if not rows:
            raise UpstreamError("upstream sent a page without models that links to another")
        try:
            following = urljoin(address, link)
            is_elsewhere = _origin(following) != _origin(address)
        except ValueError as error:
            raise UpstreamError(
                f"upstream's link to the next page is no address: {one_line(error)}"
            ) from error
        if is_elsewhere:
            raise UpstreamError("upstream's link to the next page leads to another address")
        if following in self._addresses:
            raise UpstreamError("upstream's pages lead back to one that was read")
        if len(self._addresses) >= MAX_PAGES:
            raise UpstreamError(f"upstream's list has more than {MAX_PAGES} pages")
        return following


def id_of(row: msgspec.Raw | bytes) -> str | None:
    """Give the id of a row, None where it has none that can be read."""
    try:
        return _decode_named(row).id
    except UNREADABLE:
        return None


def _origin(address: str) -> tuple[str, str | None, int | None, str | None]:
    parts = urlsplit(address)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default, parts.username
