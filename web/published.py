"""A WSGI layer in front of Flask: published bodies leave as the prepared bytes that they are.

Flask's dispatch costs several times what the server does for a request. GET and HEAD of a published path
are answered here; everything else is handed on.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prices.errors import PricesError
from prices.published.redis_copy import Publication, PublishedBody
from prices.published.snapshot import Snapshot, SnapshotReader
from web.bodies import (
    Answer,
    Representation,
    accept_encoding,
    answer,
    best_encoding,
    if_none_match,
    represent,
)
from web.responses import CACHE_CONTROL, JSON, SECURITY_HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

PATHS: Final[Mapping[str, Callable[[Publication], PublishedBody]]] = {
    "/api/v1/models": lambda published: published.models,
    "/api/v1/prices": lambda published: published.prices,
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
        body = PATHS[path](snapshot.published)
        representation = self._representations(snapshot.published)[
            path, best_encoding(accepted, body.encodings)
        ]
        headers = (
            ("Cache-Control", CACHE_CONTROL),
            ("X-Price-Revision", str(snapshot.revision)),
            ("X-Price-Age", str(int(snapshot.age_seconds or 0))),
        )
        return answer(representation, headers, validators, SECURITY_HEADERS.items())

    def _representations(self, published: Publication) -> dict[tuple[str, str], Representation]:
        made = self._made
        if made is None or made[0] is not published:
            made = self._made = (published, dict(_represent(published)))
        return made[1]


def _represent(published: Publication) -> Iterable[tuple[tuple[str, str], Representation]]:
    for path, of in PATHS.items():
        body = of(published)
        for encoding in body.encodings:
            yield (path, encoding), represent(body, encoding, JSON)
