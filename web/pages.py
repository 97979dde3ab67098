"""The pages for people. They work without JavaScript."""

import gzip
import hashlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import msgspec
from flask import Blueprint, Response, render_template, request, url_for
from werkzeug.exceptions import BadRequest

from prices.formats.pricebeat import BANDS
from prices.publication import IDENTITY, Publication
from prices.snapshot import Snapshot
from web import price_table
from web.context import current_snapshot, web_context
from web.health import get_health_check_data
from web.price_table import COLUMNS, ORDERS, SORTS, Row
from web.responses import price_headers

blueprint = Blueprint("pages", __name__)
blueprint.add_app_template_filter(price_table.age_text)
blueprint.add_app_template_filter(price_table.moment_text)

STATIC: Final = Path(__file__).parent / "static"
MAX_SOUGHT: Final = 100
FOR_EVER: Final = "public, max-age=31536000, immutable"


@blueprint.get("/")
def index() -> Response:
    """List the models with their prices per million tokens, the prices' age and the last run."""
    sought = request.args.get("q", "").strip()
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
    return _page_response(page, snapshot)


def _choice(name: str, choices: tuple[str, ...]) -> str | None:
    """Read a parameter that is one of `choices`, or absent. Raises BadRequest that names it."""
    given = request.args.get(name) or None
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


def _page_response(page: str, snapshot: Snapshot) -> Response:
    response = Response(page, content_type="text/html; charset=utf-8")
    if request.accept_encodings["gzip"] > 0:
        response.set_data(gzip.compress(response.get_data(), 1, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers.update(price_headers(snapshot))
    response.headers["Cache-Control"] = "no-store"  # it tells ages
    return response


@cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


@blueprint.app_template_global()
def static_url(name: str) -> str:
    """Address a static file together with its version, so that it can be kept for ever."""
    return url_for("static", filename=name, v=_version(name))


@blueprint.after_app_request
def keep_static(response: Response) -> Response:
    """Let browsers keep a static file that was asked for by the version it has."""
    name = (request.view_args or {}).get("filename")
    found = request.endpoint == "static" and response.status_code in (200, 304)
    if found and name and request.args.get("v") == _version(name):
        response.headers["Cache-Control"] = FOR_EVER
    return response
