"""`POST /api/v1/cost`: what a call cost, from the usage that the provider reported for it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Response, request
from sqlalchemy import Connection
from werkzeug.exceptions import BadRequest, NotFound, RequestEntityTooLarge

from prices.errors import UsageError
from prices.formats import pricebeat
from prices.history import read
from prices.pricing.cost import cost_of
from prices.pricing.schedule import PriceSchedule
from prices.store.database import utc_now
from web.api import parameters
from web.api.past import Cited, answering_revision
from web.context import current_snapshot, web_context
from web.questions import ask
from web.request_bodies import MAX_BYTES
from web.responses import citation

FIELDS = ("model", "usage", "at", "revision")


def cost() -> Response:
    """Price a usage by the prices of now, of a time (`at`), or of a revision."""
    asked = _question()
    model = asked["model"]
    at = None if asked.get("at") is None else parameters.moment("at", asked["at"])
    revision = None if asked.get("revision") is None else parameters.revision(asked["revision"])
    if at is None and revision is None:
        known = _now(model)
    else:
        known = ask(lambda connection: _past(connection, model, at, revision))
    schedule, cited, at = known
    try:
        told = cost_of(asked.get("usage"), schedule, at, web_context().settings.markup)
    except UsageError as error:
        raise BadRequest(str(error)) from error
    body = {"model": model, "at": at, **cited._asdict(), **told.to_builtins()}
    response = Response(msgspec.json.encode(body), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(citation(*cited))
    return response


def _question() -> dict[str, Any]:
    """Read the body. Raises BadRequest that names the field."""
    raw = request.stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise RequestEntityTooLarge(f"the body may be {MAX_BYTES} bytes long")
    try:
        asked = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise BadRequest("the body must be an object with model and usage")
    for name in asked:
        if name not in FIELDS:
            raise BadRequest(f"unknown field {name[:40]!r}: a question has {', '.join(FIELDS)}")
    if not isinstance(asked.get("model"), str):
        raise BadRequest("model must be the id of a model, like openai/gpt-4o")
    return asked


def _now(model: str) -> tuple[PriceSchedule, Cited, datetime]:
    """Take the price from memory: it is there whatever is away."""
    snapshot = current_snapshot()
    if (entry := snapshot.prices.get(model)) is None:
        raise NotFound(f"there is no model {model[:80]!r} now; give `at` for one that was there once")
    cited = Cited(snapshot.revision, snapshot.published.commit)
    return pricebeat.schedule_of(entry), cited, datetime.now(UTC)


def _past(
    connection: Connection, model: str, at: datetime | None, revision: int | None
) -> tuple[PriceSchedule, Cited, datetime]:
    cited = answering_revision(connection, at, revision)
    known = next(read.prices(connection, cited.revision, at=at, slug=model), None)
    if known is None:
        raise NotFound(f"{model[:80]!r} was not listed then")
    return known.schedule, cited, at or utc_now(connection)
