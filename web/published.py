"""A WSGI layer in front of Flask: published bodies leave as the prepared bytes that they are.

Flask's dispatch costs several times what the server does for a request. GET and HEAD of a published path
are answered here, encoding and validator negotiated (RFC 9110); everything else is handed on.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header, parse_etags

from prices.errors import PricesError
from prices.publication import IDENTITY, Publication, PublishedBody
from prices.snapshot import Snapshot, SnapshotReader
from web.responses import CACHE_CONTROL, SECURITY_HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

PATHS: Final[Mapping[str, Callable[[Publication], PublishedBody]]] = {
    "/api/v1/models": lambda published: published.models,
    "/api/v1/prices": lambda published: published.prices,
}
PREFERENCE: Final = ("br", "zstd", "gzip", IDENTITY)
"""Of what a client takes alike, the smallest."""
MAX_ANSWERS: Final = 256
"""How many answers are kept for a second; few clients ask in more than a handful of ways."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One body in one encoding: the headers of every answer, and those that go with the body alone.

    A 304 carries what updates a stored answer and no more (RFC 9110, section 15.4.5).
    """

    body: bytes
    etag: str
    always: tuple[tuple[str, str], ...]
    about: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a client is sent: a whole response."""

    status: str
    headers: list[tuple[str, str]]
    body: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Moment:
    """The answers of one second from one snapshot, by what was asked: path, encodings, validators."""

    snapshot: Snapshot | None
    second: int
    answers: dict[tuple[str, str, str], _Answer] = field(default_factory=dict)


class PublishedBodies:
    """Serves what is published; wrap an application with it: `app.wsgi_app = PublishedBodies(...)`."""

    def __init__(self, application: "WSGIApplication", reader: SnapshotReader) -> None:
        self._application = application
        self._reader = reader
        self._made: tuple[Publication, dict[tuple[str, str], _Prepared]] | None = None
        self._moment = _Moment(None, 0)

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, or hand it on."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path not in PATHS or environ.get("QUERY_STRING") or method not in ("GET", "HEAD"):
            return self._application(environ, start_response)
        try:
            snapshot = self._reader.current()
        except PricesError:
            return self._application(environ, start_response)
        if snapshot.stamp.refreshed_at is None:
            return self._application(environ, start_response)
        asked = (path, environ.get("HTTP_ACCEPT_ENCODING", ""), environ.get("HTTP_IF_NONE_MATCH", ""))
        moment, second = self._moment, int(time.time())
        if moment.snapshot is not snapshot or moment.second != second or len(moment.answers) >= MAX_ANSWERS:
            moment = self._moment = _Moment(snapshot, second)
        answer = moment.answers.get(asked)
        if answer is None:
            answer = moment.answers[asked] = self._answer(snapshot, *asked)
        start_response(answer.status, answer.headers.copy())
        return answer.body if method == "GET" else ()

    def _answer(self, snapshot: Snapshot, path: str, encodings: str, validators: str) -> _Answer:
        prepared = self._prepared(snapshot)[path, _best_encoding(encodings)]
        headers = [*prepared.always, ("X-Price-Age", str(int(snapshot.age_seconds or 0)))]
        if validators and parse_etags(validators).contains_weak(prepared.etag.strip('"')):
            return _Answer("304 Not Modified", headers)
        return _Answer("200 OK", [*headers, *prepared.about], (prepared.body,))

    def _prepared(self, snapshot: Snapshot) -> dict[tuple[str, str], _Prepared]:
        made = self._made
        if made is None or made[0] is not snapshot.published:
            made = (snapshot.published, dict(_prepare(snapshot)))
            self._made = made
        return made[1]


def _prepare(snapshot: Snapshot) -> Iterable[tuple[tuple[str, str], _Prepared]]:
    always = (
        ("Vary", "Accept-Encoding"),
        ("Cache-Control", CACHE_CONTROL),
        ("X-Price-Revision", str(snapshot.revision)),
    )
    for path, of in PATHS.items():
        published = of(snapshot.published)
        for encoding in PREFERENCE:
            body, etag = published.encoded(encoding), published.etag_of(encoding)
            about = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            about += SECURITY_HEADERS.items()
            if encoding != IDENTITY:
                about.append(("Content-Encoding", encoding))
            yield (path, encoding), _Prepared(body, etag, (("ETag", etag), *always), tuple(about))


def _best_encoding(accepted: str) -> str:
    """Choose by the client's `Accept-Encoding`; without one, or with none of ours, the plain body."""
    told = parse_accept_header(accepted, Accept)
    best = max(PREFERENCE, key=lambda encoding: told[encoding] if encoding != IDENTITY else 0.0)
    return best if told[best] > 0 else IDENTITY
