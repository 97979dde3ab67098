"""A WSGI layer in front of Flask: published bodies leave as the prepared bytes that they are.

Flask's dispatch costs several times what the server does for a request. GET and HEAD of a published path
are answered here; everything else is handed on.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prices.errors import PricesError
from prices.formats.registry import FORMATS
from prices.published.bodies import Publication, PublishedBody
from prices.published.reader import SnapshotReader
from prices.published.snapshot import Snapshot
from web.bodies import (
    Answer,
    Representation,
    accept_encoding,
    answer,
    best_encoding,
    if_none_match,
    represent,
)
from web.responses import CACHE_CONTROL, JSON, SECURITY_HEADERS, age_header, citation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication


class Source(NamedTuple):
    """Where the body of a path is in a publication, and what it is."""

    media_type: str
    body: Callable[[Publication], PublishedBody]


def _of_format(path: str, published: Publication) -> PublishedBody:
    return published.formats[path]


PATHS: Final[Mapping[str, Source]] = {
    "/api/v1/models": Source(JSON, lambda published: published.models),
    "/api/v1/prices": Source(JSON, lambda published: published.prices),
    **{form.path: Source(form.media_type, partial(_of_format, form.path)) for form in FORMATS},
}
MAX_ANSWERS: Final = 256
"""How many answers are kept for a second; few clients ask in more than a handful of ways."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """The answers of one second from one snapshot, by what was asked: path, encodings, validators."""

    snapshot: Snapshot | None
    second: int
    answers: dict[tuple[str, str, str], Answer] = field(default_factory=dict)


class PublishedBodies:
    """Serves what is published; wrap an application with it: `app.wsgi_app = PublishedBodies(...)`."""

    def __init__(self, application: "WSGIApplication", reader: SnapshotReader) -> None:
        self._application = application
        self._reader = reader
        self._made: tuple[Publication, dict[tuple[str, str], Representation]] | None = None
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
        sent = moment.answers.get(asked)
        if sent is None:
            asked = (path, accept_encoding(environ), if_none_match(environ))  # nothing long is kept
            sent = moment.answers[asked] = self._answer(snapshot, *asked)
        start_response(sent.status, sent.headers.copy())
        return (sent.content,) if method == "GET" and sent.content else ()

    def _answer(self, snapshot: Snapshot, path: str, accepted: str, validators: str) -> Answer:
        representation = self._representation(snapshot.published, path, accepted)
        headers = (
            ("Cache-Control", CACHE_CONTROL),
            *citation(snapshot.revision, snapshot.published.commit).items(),
            *age_header(snapshot).items(),
        )
        return answer(representation, headers, validators, SECURITY_HEADERS.items())

    def _representation(self, published: Publication, path: str, accepted: str) -> Representation:
        """Give a body in the encoding that a client takes, made when it is first asked for."""
        made = self._made
        if made is None or made[0] is not published:
            made = self._made = (published, {})
        source = PATHS[path]
        body = source.body(published)
        encoding = best_encoding(accepted, body.encodings)
        sent = made[1].get((path, encoding))
        if sent is None:
            sent = made[1][path, encoding] = represent(body, encoding, source.media_type)
        return sent
