"""`/api/v1/models` and `/api/v1/model/...`: OpenRouter's own shape, so its clients can be pointed here."""

from flask import Response, request
from werkzeug.exceptions import NotFound

from prices.formats import openrouter
from web.api.parameters import Offset, PageSize, Query, query
from web.context import current_snapshot
from web.responses import json_response, published_response


class PageQuery(Query, frozen=True):
    """Which part of the list."""

    offset: Offset = 0
    limit: PageSize = 500


def list_models() -> Response:
    """Give all models, or a page of them where `offset` or `limit` is asked for."""
    if "offset" not in request.args and "limit" not in request.args:
        snapshot = current_snapshot()
        return published_response(snapshot, snapshot.published.models)
    asked = query(PageQuery, lenient=True)
    snapshot = current_snapshot()
    documents = list(snapshot.documents.values())
    page = openrouter.model_page(documents, snapshot.envelope, asked.offset, asked.limit, request.path)
    return json_response(snapshot, page)


def one_model(model_id: str) -> Response:
    """Give one model."""
    snapshot = current_snapshot()
    if (document := snapshot.documents.get(model_id)) is None:
        raise NotFound(f"there is no model {model_id[:80]!r}")
    return json_response(snapshot, openrouter.one_model(document))
