"""`/api/v1/prices`: our own shape, with the state of every price spelled out, now and at any time."""

from flask import Response, request
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from prices.catalogue.records import PriceInterval
from prices.formats import pricebeat
from prices.history import read
from web.api.parameters import Moment, Query, Revision, query
from web.api.past import Cited, answering_revision, newest_cited
from web.context import current_snapshot, web_context
from web.questions import ask
from web.responses import json_response, past_response, published_response


class AsOf(Query, frozen=True):
    """A time in the past, a revision, or both: what that revision says of that time."""

    at: Moment | None = None
    revision: Revision | None = None

    @property
    def is_past(self) -> bool:
        """Whether anything but the present is asked for."""
        return self.at is not None or self.revision is not None


class PriceSearch(AsOf, frozen=True):
    """Of which models: those whose id or name holds `q`."""

    q: str = ""


class NoQuery(Query, frozen=True):
    """Nothing can be asked."""


def list_prices() -> Response:
    """Give the prices of all models, or of those whose id or name holds `q`."""
    asked = query(PriceSearch)
    sought = asked.q.strip()
    if asked.is_past:
        cited, prices = _past(None, asked)
        markup = web_context().settings.markup
        found = (price for price in prices if _holds(price, sought))
        return past_response(pricebeat.price_list(found, markup, cited.revision, asked.at), *cited)
    snapshot = current_snapshot()
    if not sought:
        return published_response(snapshot, snapshot.published.prices)
    entries = [snapshot.prices[model_id] for model_id in snapshot.search(sought)]
    return json_response(snapshot, pricebeat.enveloped(entries, snapshot.revision))


def one_price(model_id: str) -> Response:
    """Give the prices of one model."""
    asked = query(AsOf)
    if asked.is_past:
        cited, prices = _past(model_id, asked)
        if not prices:
            raise NotFound(f"{model_id[:80]!r} was not listed then")
        entry = pricebeat.encoded_entry(prices[0], web_context().settings.markup, asked.at)
        return past_response(entry, *cited)
    snapshot = current_snapshot()
    if (entry_now := snapshot.prices.get(model_id)) is None:
        raise NotFound(f"there is no model {model_id[:80]!r} now; its history may know it")
    return json_response(snapshot, entry_now)


def price_history(model_id: str) -> Response:
    """Give every interval of a model's price that is known today, the earliest first.

    The path can also name a model whose own id ends in `/history`. It does where there never was a model of
    the shorter id, and where a time or a revision is asked for, which a history does not take.
    """
    longer = f"{model_id}/history"

    def intervals(connection: Connection) -> tuple[Cited, list[PriceInterval], bool]:
        cited, found = newest_cited(connection), read.intervals(connection, model_id)
        return cited, found, bool(read.intervals(connection, longer))

    cited, known, is_an_id = ask(intervals)
    if is_an_id and (not known or request.args.keys() & {"at", "revision"}):
        return one_price(longer)
    query(NoQuery)
    if not known:
        raise NotFound(f"there never was a model {model_id[:80]!r}")
    markup = web_context().settings.markup
    return past_response(pricebeat.price_history(known, markup, cited.revision), *cited)


def _past(slug: str | None, asked: AsOf) -> tuple[Cited, list[PriceInterval]]:
    """Give the prices that `asked` is about, and the revision that says so. Raises BadRequest or NotFound."""

    def past(connection: Connection) -> tuple[Cited, list[PriceInterval]]:
        cited = answering_revision(connection, asked.at, asked.revision)
        return cited, list(read.prices(connection, cited.revision, at=asked.at, slug=slug))

    return ask(past)


def _holds(price: PriceInterval, sought: str) -> bool:
    return sought.casefold() in f"{price.slug}\n{price.attributes.name}".casefold()
