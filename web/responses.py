"""How bodies leave: packed where the client takes it, validated by ETag, with the prices' age."""

import gzip
import hashlib
from functools import lru_cache
from typing import Final

from flask import Response, request

from prices.snapshot import Snapshot

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
    return with_price_headers(_validated(body), snapshot)


def past_response(body: bytes, revision: int) -> Response:
    """Send a body that the database gave: what a revision says, without an age."""
    response = _validated(body)
    response.headers["X-Price-Revision"] = str(revision)
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response


def _validated(body: bytes) -> Response:
    """Negotiate encoding and validator; a strong one names bytes, so the packed body has one of its own."""
    etag = f'"{hashlib.blake2b(body, digest_size=10).hexdigest()}"'
    packed_etag = f'{etag[:-1]}-gzip"'
    use_packed = len(body) >= MIN_PACKED and request.accept_encodings["gzip"] > 0
    known = request.if_none_match
    if known.contains_weak(etag.strip('"')) or known.contains_weak(packed_etag.strip('"')):
        response = Response(status=304)
    else:
        pack = _pack_once if len(body) <= MAX_KEPT else _pack
        response = Response(pack(body) if use_packed else body, content_type="application/json")
        if use_packed:
            response.headers["Content-Encoding"] = "gzip"
    response.headers["ETag"] = packed_etag if use_packed else etag
    response.headers["Vary"] = "Accept-Encoding"
    return response


def with_price_headers(response: Response, snapshot: Snapshot) -> Response:
    """Say which prices these are, how old they are, and how long they may be kept."""
    response.headers["X-Price-Revision"] = str(snapshot.revision)
    if snapshot.age_seconds is None:
        response.headers["Cache-Control"] = "no-store"  # still empty: the first prices come any moment
    else:
        response.headers["Cache-Control"] = CACHE_CONTROL
        response.headers["X-Price-Age"] = str(int(snapshot.age_seconds))
    return response


def add_security_headers(response: Response) -> Response:
    """Give every answer the headers that keep a browser strict."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
