"""Pure: an answer and the list of the moment become a status, headers and a body."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any

from local.standin.answers import Answer
from local.standin.catalogue import encode, envelope

_JSON = {"content-type": "application/json"}
_LISTED = _JSON | {
    "cache-control": "public, max-age=120, stale-while-revalidate=3600",
    "vary": "Accept-Encoding",
}
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Wait.</body></html>"
_BLOCK = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """What goes out: `body` whole, or in blocks without end in sight."""

    status: int
    body: bytes | Iterator[bytes]
    headers: dict[str, str] = field(default_factory=lambda: dict(_JSON))


def error(code: int, message: str) -> Reply:
    """Upstream's error shape."""
    return Reply(code, encode({"error": {"code": code, "message": message}}))


def reply(answer: Answer, listed: bytes, query: dict[str, str]) -> Reply:
    """The reply to a request for the list; `listed` is the whole list of the moment."""
    plain = _reply(answer, listed, query)
    given = {name.lower(): str(value) for name, value in answer.headers.items()}
    return Reply(plain.status, plain.body, plain.headers | given)


def _reply(answer: Answer, listed: bytes, query: dict[str, str]) -> Reply:
    if answer.redirect is not None:
        hops = answer.redirect
        target = hops if isinstance(hops, str) else f"/api/v1/models/hops/{hops - 1}"
        status = answer.status if 300 <= answer.status < 400 else 302
        return Reply(status, b"", _JSON | {"location": target})
    if answer.size is not None:
        blocks = _endless(answer.size)
        if answer.gzip_bomb:
            return Reply(answer.status, _compressed(blocks), _JSON | {"content-encoding": "gzip"})
        return Reply(answer.status, blocks)
    if answer.html:
        return Reply(answer.status, _PAGE, {"content-type": "text/html; charset=utf-8"})
    if answer.garbage is not None:
        return Reply(answer.status, Random(answer.garbage).randbytes(answer.garbage))
    if answer.body is not None:
        # A lone surrogate in a test's text goes out as the bytes it stands for.
        return Reply(answer.status, answer.body.encode(errors="surrogateescape"))
    if answer.empty_list:
        return Reply(answer.status, encode(envelope([])), _LISTED)
    if answer.status in {204, 304}:
        return Reply(answer.status, b"")
    if answer.status != 200:
        return error(answer.status, _phrase(answer.status))
    if answer.page_size is not None:
        query = {"offset": "0", "limit": str(answer.page_size)} | query
    made = _page(_altered(listed, answer), query)
    if answer.envelope and isinstance(made.body, bytes):
        return Reply(made.status, encode(json.loads(made.body) | answer.envelope), made.headers)
    return made


def _page(listed: bytes, query: dict[str, str]) -> Reply:
    """Everything when neither `offset` nor `limit` is asked for, else a page: 500 rows, or up to 1000."""
    if not query.keys() & {"offset", "limit"}:
        return Reply(200, listed, _LISTED)
    try:
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 500))
    except ValueError:
        return error(400, "offset and limit must be whole numbers")
    if offset < 0 or not 1 <= limit <= 1000:
        return error(400, "offset must not be negative, limit must be 1 to 1000")
    whole = json.loads(listed)
    rows = whole["data"]
    if offset == 0 and len(rows) <= limit:
        return Reply(200, listed, _LISTED)
    end = offset + limit
    more = f"/api/v1/models?offset={end}&limit={limit}" if end < len(rows) else None
    page = whole | {"data": rows[offset:end], "total_count": len(rows), "links": {"next": more}}
    return Reply(200, encode(page), _LISTED)


def _altered(listed: bytes, answer: Answer) -> bytes:
    if not (answer.patch or answer.drop or answer.append or answer.items is not None):
        return listed
    whole = json.loads(listed)
    rows = [row for row in whole["data"] if row["id"] not in answer.drop][: answer.items]
    for row in rows:
        for path, value in answer.patch.get(row["id"], {}).items():
            _change(row, path, value)
    rows += answer.append
    return encode(whole | {"data": rows, "total_count": len(rows)})


def _change(row: Any, path: str, value: object) -> None:
    """Sets what the dotted path leads to (numbers index lists); a path that begins with "-" removes it."""
    *way, last = path.removeprefix("-").split(".")
    for part in way:
        row = row[int(part)] if isinstance(row, list) else row.setdefault(part, {})
    key: Any = int(last) if isinstance(row, list) else last
    if path.startswith("-"):
        row.pop(key)
    else:
        row[key] = value


def _endless(size: int) -> Iterator[bytes]:
    """`size` bytes of a list that has not ended yet; one block in memory at a time."""
    row = b'{"id":"endless/model","pricing":{"prompt":"0.000001","completion":"0.000002"}},'
    block = row * (_BLOCK // len(row))
    head = b'{"data":['
    yield head[:size]
    for left in range(size - len(head), 0, -len(block)):
        yield block[:left]


def _compressed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for block in blocks:
        yield packer.compress(block)
    yield packer.flush()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
