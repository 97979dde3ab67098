"""Flask's answers with prices: their revision and age, and what keeps a browser strict."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Response, request

from prices.published.bodies import PublishedBody
from prices.published.snapshot import Snapshot
from web.bodies import Body, MadeBody, negotiated

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

CACHE_CONTROL: Final = "public, max-age=60"
JSON: Final = "application/json"

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


def respond(body: Body, content_type: str, headers: Mapping[str, str]) -> Response:
    """Send a body as the client of this request takes it."""
    answer = negotiated(request.environ, body, content_type, headers.items())
    return Response(answer.content, answer.status, answer.headers)


def json_response(snapshot: Snapshot, body: bytes) -> Response:
    """Send a body made for this request."""
    return respond(MadeBody(body), JSON, price_headers(snapshot))


def published_response(snapshot: Snapshot, body: PublishedBody, content_type: str = JSON) -> Response:
    """Send a published body whole."""
    return respond(body, content_type, price_headers(snapshot))


def past_response(body: bytes, revision: int, commit: str) -> Response:
    """Send a body that the database gave: what a revision says, without an age."""
    headers = {**citation(revision, commit), "Cache-Control": CACHE_CONTROL}
    return respond(MadeBody(body), JSON, headers)


def page_response(snapshot: Snapshot, page: str) -> Response:
    """Send a page for people. It is not to be kept: it tells ages."""
    headers = price_headers(snapshot) | {"Cache-Control": "no-store"}
    return respond(MadeBody(page.encode()), "text/html; charset=utf-8", headers)


def citation(revision: int, commit: str) -> dict[str, str]:
    """Name a revision and the commit that made it; a catalogue that is still empty has none."""
    return {"X-Price-Revision": str(revision), **({"X-Price-Commit": commit} if commit else {})}


def price_headers(snapshot: Snapshot) -> dict[str, str]:
    """Say which prices these are, how old they are, and how long they may be kept."""
    told = citation(snapshot.revision, snapshot.published.commit)
    if snapshot.stamp.refreshed_at is None:
        return told | {"Cache-Control": "no-store"}  # still empty: the first prices come any moment
    return told | {"Cache-Control": CACHE_CONTROL, **age_header(snapshot)}


def age_header(snapshot: Snapshot) -> dict[str, str]:
    """Say how old prices are; nothing where their age is unknown."""
    age = snapshot.age_seconds
    return {} if age is None else {"X-Price-Age": str(int(age))}


def strict(application: "WSGIApplication") -> "WSGIApplication":
    """Give every answer of an application the headers that keep a browser strict."""
    more = list(SECURITY_HEADERS.items())

    def strictly(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, headers + more, *error)

        return application(environ, start)

    return strictly
