"""How bodies leave: packed where the client takes it, validated by ETag, with the prices' age."""

import gzip
import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flask import Response, request

from prices.snapshot import Snapshot

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

CACHE_CONTROL: Final = "public, max-age=60"
MIN_PACKED: Final = 1024
"""Smaller bodies are sent as they are."""
MAX_KEPT: Final = 64 * 1024
"""A body that is not larger is packed once for many who ask the same."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _pack(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)


_pack_once = lru_cache(maxsize=128)(_pack)


def json_response(snapshot: Snapshot, body: bytes) -> Response:
    """Send a body made for this request."""
    return _validated(body, price_headers(snapshot))


def past_response(body: bytes, revision: int) -> Response:
    """Send a body that the database gave: what a revision says, without an age."""
    return _validated(body, {"X-Price-Revision": str(revision), "Cache-Control": CACHE_CONTROL})


def price_headers(snapshot: Snapshot) -> dict[str, str]:
    """Say which prices these are, how old they are, and how long they may be kept."""
    age = snapshot.age_seconds
    told = {"X-Price-Revision": str(snapshot.revision)}
    if age is None:
        return told | {"Cache-Control": "no-store"}  # still empty: the first prices come any moment
    return told | {"Cache-Control": CACHE_CONTROL, "X-Price-Age": str(int(age))}


def _validated(body: bytes, headers: dict[str, str]) -> Response:
    """Negotiate encoding and validator; a strong one names bytes, so the packed body has one of its own."""
    tag = hashlib.blake2b(body, digest_size=10).hexdigest()
    packed_tag = f"{tag}-gzip"
    use_packed = len(body) >= MIN_PACKED and request.accept_encodings["gzip"] > 0
    headers |= {"ETag": f'"{packed_tag if use_packed else tag}"', "Vary": "Accept-Encoding"}
    known = request.if_none_match
    if known.contains_weak(tag) or known.contains_weak(packed_tag):
        return Response(status=304, headers=headers)
    headers["Content-Type"] = "application/json"
    if use_packed:
        headers["Content-Encoding"] = "gzip"
        body = _pack_once(body) if len(body) <= MAX_KEPT else _pack(body)
    return Response(body, headers=headers)


def strict(application: "WSGIApplication") -> "WSGIApplication":
    """Give every answer of an application the headers that keep a browser strict."""
    more = list(SECURITY_HEADERS.items())

    def strictly(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, headers + more, *error)

        return application(environ, start)

    return strictly
