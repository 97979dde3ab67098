"""`/api/v1/prices`: our own shape, with the state of every price spelled out, now and at any time."""

from datetime import datetime

from flask import Response, request
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from prices.catalogue.records import KnownPrice
from prices.formats import pricebeat
from prices.history import read
from prices.store.queries import catalogue_state
from web.api.parameters import moment, only, text, whole_number
from web.api.past import answering_revision
from web.context import current_snapshot, web_context
from web.questions import ask
from web.responses import json_response, past_response, published_response

MAX_REVISION = 999_999_999


def list_prices() -> Response:
    """Give the prices of all models, or of those whose id or name holds `q`."""
    only("q", "at", "revision")
    sought = (text("q") or "").strip()
    if _asks_for_the_past():
        at, revision, prices = _past(None)
        markup = web_context().settings.markup
        found = (price for price in prices if _holds(price, sought))
        return past_response(pricebeat.price_list(found, markup, revision, at), revision)
    snapshot = current_snapshot()
    if not sought:
        return published_response(snapshot, snapshot.published.prices)
    entries = [snapshot.prices[model_id] for model_id in snapshot.search(sought)]
    return json_response(snapshot, pricebeat.enveloped(entries, snapshot.revision))


def one_price(model_id: str) -> Response:
    """Give the prices of one model."""
    only("at", "revision")
    if _asks_for_the_past():
        at, revision, prices = _past(model_id)
        if not prices:
            raise NotFound(f"{model_id[:80]!r} was not listed then")
        entry = pricebeat.encoded_entry(prices[0], web_context().settings.markup, at)
        return past_response(entry, revision)
    snapshot = current_snapshot()
    if (entry_now := snapshot.prices.get(model_id)) is None:
        raise NotFound(f"there is no model {model_id[:80]!r} now; its history may know it")
    return json_response(snapshot, entry_now)


def price_history(model_id: str) -> Response:
    """Give every interval of a model's price that is known today, the earliest first.

    The path can also name a model whose own id ends in `/history`. It does where there never was a model of
    the shorter id, and where a time or a revision is asked for, which a history does not take.
    """
    only("at", "revision")
    longer = f"{model_id}/history"

    def intervals(connection: Connection) -> tuple[int, list[KnownPrice], bool]:
        revision, found = catalogue_state(connection).revision, read.intervals(connection, model_id)
        return revision, found, bool(read.intervals(connection, longer))

    revision, known, is_an_id = ask(intervals)
    if is_an_id and (not known or _asks_for_the_past()):
        return one_price(longer)
    only()
    if not known:
        raise NotFound(f"there never was a model {model_id[:80]!r}")
    markup = web_context().settings.markup
    return past_response(pricebeat.price_history(known, markup, revision), revision)


def _asks_for_the_past() -> bool:
    return "at" in request.args or "revision" in request.args


def _past(slug: str | None) -> tuple[datetime | None, int, list[KnownPrice]]:
    """Read what `at` and `revision` ask for. Raises BadRequest or NotFound that names the parameter."""
    at, named = moment("at"), whole_number("revision", 0, 1, MAX_REVISION) or None

    def past(connection: Connection) -> tuple[datetime | None, int, list[KnownPrice]]:
        revision = answering_revision(connection, at, named)
        return at, revision, list(read.prices(connection, revision, at=at, slug=slug))

    return ask(past)


def _holds(price: KnownPrice, sought: str) -> bool:
    return sought.casefold() in f"{price.slug}\n{price.attributes.name}".casefold()
