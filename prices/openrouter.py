"""Upstream: OpenRouter's list of models over HTTP, and its JSON as our values.

The list is `GET {base}/models`, an envelope `{"data": [model, ...], ...}`, public, no key needed:
https://openrouter.ai/docs/api-reference/models/get-models. Each model's JSON is kept as it came, so
that fields we do not know are passed on.
"""

import contextlib
import re
import socket
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter

from prices.background import in_background
from prices.errors import PriceError, UpstreamError, one_line
from prices.price import PriceSchedule

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
TOTAL_SECONDS = 60.0
MAX_BYTES = 32 * 1024 * 1024
MAX_REDIRECTS = 3
MAX_ID = 255
USER_AGENT = "Pricebeat/1.0 (one price-list fetch per cluster and period)"


@dataclass(frozen=True, slots=True)
class OpenRouterModel:
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
    pricing: dict[str, Any]


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)
# JSON may carry half a surrogate pair (JavaScript cuts texts so), which msgspec refuses for the whole body.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u[dD][c-fC-F][0-9a-fA-F]{2}|(.))",
    re.DOTALL,
)


class _Named(msgspec.Struct):
    id: str


_decode_row = msgspec.json.Decoder(_Row, float_hook=Decimal).decode
_decode_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def fetch(base_url: str, key: str | None, progress: Callable[[int], None] = lambda _received: None) -> bytes:
    """Get the whole body of upstream's list, unpacked, at most 32 MiB, within 60 s.

    `progress` is told the bytes received so far. Raises UpstreamError with the reason.
    """
    # In a thread of its own, because no socket time-out ends an answer that drips, headers included.
    sockets: list[socket.socket] = []
    download = in_background(lambda: _download(f"{base_url}/models", key, progress, sockets))
    try:
        return download.result(timeout=TOTAL_SECONDS)
    except FutureTimeoutError:
        raise UpstreamError(f"upstream's body was not complete within {TOTAL_SECONDS:g} s") from None
    except requests.Timeout as error:
        raise UpstreamError("upstream did not answer in time") from error
    except requests.RequestException as error:
        raise UpstreamError(f"upstream could not be read ({type(error).__name__})") from error
    finally:
        for opened in sockets:  # whoever gives up must not go on receiving
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


class _OneHop(requests.Session):
    """Follows no redirect, nor looks at one: requests would read its whole body first, without limit.

    Notes every socket that it opens in `sockets`.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self.auth = _no_more_headers  # else requests takes a password from ~/.netrc
        adapter = _NotingAdapter(sockets)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' name
        return None


def _no_more_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _NotingAdapter(HTTPAdapter):
    """Notes the sockets of its connections, so that they can be shut from another thread."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Give a pool whose connections are noted when they are made."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        plain, sockets = pool.ConnectionCls, self._sockets

        class Noted(plain):  # type: ignore[misc, valid-type]  # http or https, as the pool has it
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        pool.ConnectionCls = Noted
        return pool


def _download(
    url: str, key: str | None, progress: Callable[[int], None], sockets: list[socket.socket]
) -> bytes:
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    with _OneHop(sockets) as session:
        for _hop in range(MAX_REDIRECTS + 1):
            with session.get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            ) as response:
                if not response.is_redirect:
                    return _whole_body(response, progress)
                url = _redirected(url, response.headers["location"], headers)
    raise UpstreamError(f"upstream redirected more than {MAX_REDIRECTS} times")


def _redirected(url: str, location: str, headers: dict[str, str]) -> str:
    """Follow a redirect: from https to https only, and the key to no other host."""
    try:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
    except ValueError as error:
        raise UpstreamError(f"upstream redirected to no address: {one_line(error)}") from error
    if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme != "https"):
        raise UpstreamError("upstream redirected away from https")
    if before.netloc != after.netloc:
        headers.pop("Authorization", None)
    return target


def _whole_body(response: requests.Response, progress: Callable[[int], None]) -> bytes:
    if response.status_code != requests.codes.ok:
        retry_after = _seconds(response.headers.get("retry-after", ""))
        raise UpstreamError(f"upstream answered {response.status_code}", retry_after)
    body = bytearray()
    for chunk in response.iter_content(64 * 1024):
        body += chunk
        progress(len(body))
        if len(body) > MAX_BYTES:
            raise UpstreamError(f"upstream's body is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return bytes(body)


def _seconds(retry_after: str) -> float:
    """Read a Retry-After header: seconds, or a date (RFC 9110, section 10.2.3); 0 where it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def parse(body: bytes) -> OpenRouterList:
    """Read upstream's body row by row. A bad row is skipped and named; a broken envelope is refused.

    Raises UpstreamError where the body is no JSON, has no `data`, is one page of several, is empty,
    or has no usable row.
    """
    if re.search(rb"\\u[dD][89a-fA-F]", body):
        body = _ESCAPE.sub(lambda found: found[0] if found[1] or found[2] else rb"\ufffd", body)
    try:
        fields = _decode_envelope(body)
        data = fields.pop("data", None)
        items = _decode_items(data) if data is not None else None
        envelope = {name: msgspec.json.decode(raw) for name, raw in fields.items()}
    except _UNREADABLE as error:
        raise UpstreamError(f"upstream's body is no price list: {one_line(error)}") from error
    if items is None:
        raise UpstreamError("upstream's body has no `data`")
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
        document.decode()
        msgspec.json.decode(document)  # the fields that _Row passes over unread, too
    except _UNREADABLE as error:
        return SkippedRow(position, _id_of(document), one_line(error))
    if not 0 < len(row.id) <= MAX_ID or not row.id.isprintable() or " " in row.id:
        return SkippedRow(position, None, "the id cannot be used")
    if row.id in seen:
        return SkippedRow(position, row.id, "the id stands further up already")
    try:
        schedule = PriceSchedule.parse(row.pricing)
    except PriceError as error:
        return SkippedRow(position, row.id, one_line(error))
    seen.add(row.id)
    return OpenRouterModel(row.id, schedule, document)


def _id_of(document: bytes) -> str | None:
    try:
        found = msgspec.json.decode(document, type=_Named).id
    except _UNREADABLE:
        return None
    return found if 0 < len(found) <= MAX_ID and found.isprintable() else None
