"""The pages for people. They work without JavaScript."""

from functools import lru_cache
from typing import Annotated, Final

from flask import Blueprint, Response, render_template, url_for
from msgspec import Meta
from werkzeug.exceptions import NotFound

from prices.pricing.bands import BANDS
from prices.published.bodies import IDENTITY, PublishedBody
from web import price_table
from web.api.parameters import CHOICES, Query, query
from web.context import current_snapshot, web_context
from web.health import get_health_check_data
from web.listing import ORDERS, SORTS, Listing
from web.price_table import COLUMNS
from web.responses import page_response

blueprint = Blueprint("pages", __name__)
blueprint.add_app_template_filter(price_table.age_text)
blueprint.add_app_template_filter(price_table.moment_text)

MAX_SOUGHT: Final = 100
MAX_PAGE: Final = 999_999


class ListQuery(Query, frozen=True):
    """Which part of the list, of which models, in which order."""

    q: Annotated[str, Meta(max_length=MAX_SOUGHT)] = ""
    sort: Annotated[str, Meta(extra={CHOICES: SORTS})] | None = None
    order: Annotated[str, Meta(extra={CHOICES: ORDERS})] | None = None
    page: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 1


@blueprint.get("/")
def index() -> Response:
    """List the models with their prices per million tokens, the prices' age and the last run."""
    asked = query(ListQuery, lenient=True)
    sought, sort, order, number = asked.q.strip(), asked.sort or None, asked.order or None, asked.page
    snapshot = current_snapshot()
    listing = _listing(snapshot.published.prices)
    part = listing.part(sought, sort, order or "asc", number)
    if number > part.parts:
        raise NotFound(f"there is no page {number}, the last is {part.parts}")
    page = render_template(
        "index.html",
        part=part,
        total=len(listing),
        is_cut=listing.is_cut,
        columns=COLUMNS,
        bands=BANDS,
        markup=web_context().settings.markup,
        sought=sought,
        max_sought=MAX_SOUGHT,
        sort=sort,
        order=order or "asc",
        sort_url=lambda column: _sort_url(column, sort, order, sought),
        part_url=lambda other: _url(sort, order if sort else None, sought, other),
        snapshot=snapshot,
        health=get_health_check_data(),
    )
    return page_response(snapshot, page)


@lru_cache(maxsize=1)
def _listing(prices: PublishedBody) -> Listing:
    """Index the models once per content; confirming the prices keeps the publication."""
    return Listing(prices.encoded(IDENTITY))


def _sort_url(column: str, sort: str | None, order: str | None, sought: str) -> str:
    """Address the page sorted by a column; by the present one, in the other order."""
    if column == sort:
        order = "asc" if order == "desc" else "desc"
    else:
        order = "desc" if column == "context" else "asc"
    return _url(column, order, sought)


def _url(sort: str | None, order: str | None, sought: str, number: int = 1) -> str:
    page = number if number > 1 else None
    return url_for("pages.index", sort=sort, order=order, q=sought or None, page=page)
