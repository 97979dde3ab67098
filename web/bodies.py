"""How a body leaves: the one place that chooses its encoding, makes its validator and answers conditions.

Used by the layer before Flask and by Flask's answers alike. Source: RFC 9110, sections 8.8.3, 12.5.3, 13.1.2.
"""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header, parse_etags

from prices.published.bodies import IDENTITY, strong_etag

MIN_PACKED: Final = 1024
"""Smaller bodies are sent as they are."""
MAX_KEPT: Final = 64 * 1024
"""A body that is not larger is packed once for many who ask the same."""
MAX_ACCEPT_ENCODING: Final = 512
"""A longer `Accept-Encoding` is not read: the body leaves plain."""
MAX_IF_NONE_MATCH: Final = 4096
"""A longer `If-None-Match` is not read: the body is sent."""

Headers = Iterable[tuple[str, str]]


class Body(Protocol):
    """Bytes that can be sent in several encodings."""

    @property
    def encodings(self) -> Sequence[str]:
        """The encodings on offer, of those that a client takes alike the best first."""

    def encoded(self, encoding: str) -> bytes:
        """Give the bytes in one of them."""


class MadeBody:
    """A body made for a request: plain, or packed fast where it is worth it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def encodings(self) -> Sequence[str]:
        """Gzip for all but small bodies, which the other encodings would only make slower."""
        return ("gzip", IDENTITY) if len(self._content) >= MIN_PACKED else (IDENTITY,)

    def encoded(self, encoding: str) -> bytes:
        """Give the bytes in an encoding."""
        if encoding == IDENTITY:
            return self._content
        return _pack_once(self._content) if len(self._content) <= MAX_KEPT else _pack(self._content)


def _pack(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


_pack_once = lru_cache(maxsize=128)(_pack)


@dataclass(frozen=True, slots=True)
class Representation:
    """A body in one encoding: the bytes, the validator that names them, and the headers about them."""

    content: bytes
    etag: str
    about: tuple[tuple[str, str], ...]


def represent(body: Body, encoding: str, content_type: str) -> Representation:
    """Give a body as it is sent in an encoding."""
    content = body.encoded(encoding)
    about = [("Content-Type", content_type), ("Content-Length", str(len(content)))]
    if encoding != IDENTITY:
        about.append(("Content-Encoding", encoding))
    return Representation(content, strong_etag(content), tuple(about))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is sent: a whole response."""

    status: str
    headers: list[tuple[str, str]]
    content: bytes = b""


def answer(sent: Representation, headers: Headers, if_none_match: str, beside: Headers = ()) -> Answer:
    """Send a representation, or say that the client has it. `beside` are headers that go with a body alone.

    A 304 carries what updates a stored answer and no more (RFC 9110, section 15.4.5).
    """
    always = [("ETag", sent.etag), ("Vary", "Accept-Encoding"), *headers]
    if if_none_match and parse_etags(if_none_match).contains_weak(sent.etag.strip('"')):
        return Answer("304 Not Modified", always)
    return Answer("200 OK", [*always, *sent.about, *beside], sent.content)


def negotiated(environ: Mapping[str, Any], body: Body, content_type: str, headers: Headers) -> Answer:
    """Answer a request with a body as its headers ask for it."""
    encoding = best_encoding(accept_encoding(environ), body.encodings)
    return answer(represent(body, encoding, content_type), headers, if_none_match(environ))


def best_encoding(accepted: str, offered: Sequence[str]) -> str:
    """Choose by the client's `Accept-Encoding`; without one, or with none of ours, the plain body."""
    accept = parse_accept_header(accepted, Accept)
    best = max(offered, key=lambda encoding: accept[encoding] if encoding != IDENTITY else 0.0)
    return best if accept[best] > 0 else IDENTITY


def accept_encoding(environ: Mapping[str, Any]) -> str:
    """Give the header of a request; empty where it is absent or too long to be read."""
    return _bounded(environ.get("HTTP_ACCEPT_ENCODING", ""), MAX_ACCEPT_ENCODING)


def if_none_match(environ: Mapping[str, Any]) -> str:
    """Give the header of a request; empty where it is absent or too long to be read."""
    return _bounded(environ.get("HTTP_IF_NONE_MATCH", ""), MAX_IF_NONE_MATCH)


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else ""
