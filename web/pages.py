"""The pages for people. They work without JavaScript."""

from functools import lru_cache
from typing import Final

import msgspec
from flask import Blueprint, Response, render_template, url_for
from werkzeug.exceptions import BadRequest

from prices.bands import BANDS
from prices.publication import IDENTITY, Publication
from web import price_table
from web.api.parameters import text
from web.context import current_snapshot, web_context
from web.health import get_health_check_data
from web.price_table import COLUMNS, ORDERS, SORTS, Row
from web.responses import page_response

blueprint = Blueprint("pages", __name__)
blueprint.add_app_template_filter(price_table.age_text)
blueprint.add_app_template_filter(price_table.moment_text)

MAX_SOUGHT: Final = 100


@blueprint.get("/")
def index() -> Response:
    """List the models with their prices per million tokens, the prices' age and the last run."""
    sought = (text("q") or "").strip()
    if len(sought) > MAX_SOUGHT:
        raise BadRequest(f"q must be at most {MAX_SOUGHT} characters long")
    sort = _choice("sort", SORTS)
    order = _choice("order", ORDERS)
    snapshot = current_snapshot()
    rows = listed = _rows_of(snapshot.published)
    if sought:
        found = set(snapshot.search(sought))
        rows = tuple(row for row in listed if row.id in found)
    page = render_template(
        "index.html",
        rows=price_table.arranged(rows, sort, order or "asc"),
        total=len(listed),
        columns=COLUMNS,
        bands=BANDS,
        markup=web_context().settings.markup,
        sought=sought,
        max_sought=MAX_SOUGHT,
        sort=sort,
        order=order or "asc",
        sort_url=lambda column: _sort_url(column, sort, order, sought),
        snapshot=snapshot,
        health=get_health_check_data(),
    )
    return page_response(snapshot, page)


def _choice(name: str, choices: tuple[str, ...]) -> str | None:
    """Read a parameter that is one of `choices`, or absent. Raises BadRequest that names it."""
    given = text(name) or None
    if given is not None and given not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}")
    return given


@lru_cache(maxsize=2)
def _rows_of(published: Publication) -> tuple[Row, ...]:
    """Shape the rows once per content; confirming the prices keeps the publication."""
    return price_table.table_rows(msgspec.json.decode(published.prices.encoded(IDENTITY))["data"])


def _sort_url(column: str, sort: str | None, order: str | None, sought: str) -> str:
    """Address the page sorted by a column; by the present one, in the other order."""
    if column == sort:
        order = "asc" if order == "desc" else "desc"
    else:
        order = "desc" if column == "context" else "asc"
    return url_for("pages.index", sort=column, order=order, q=sought or None)
