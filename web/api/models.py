"""`/api/v1/models` and `/api/v1/model/...`: OpenRouter's own shape, so its clients can be pointed here."""

from flask import Response, request
from werkzeug.exceptions import NotFound

from prices.formats import openrouter
from web.api.parameters import whole_number
from web.context import current_snapshot
from web.responses import json_response, published_response

DEFAULT_LIMIT, MAX_LIMIT = 500, 1000


def list_models() -> Response:
    """Give all models, or a page of them where `offset` or `limit` is asked for."""
    if "offset" not in request.args and "limit" not in request.args:
        snapshot = current_snapshot()
        return published_response(snapshot, snapshot.published.models)
    offset = whole_number("offset", 0, 0, 999_999_999)
    limit = whole_number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    snapshot = current_snapshot()
    documents = list(snapshot.documents.values())
    page = openrouter.model_page(documents, snapshot.envelope, offset, limit, request.path)
    return json_response(snapshot, page)


def one_model(model_id: str) -> Response:
    """Give one model."""
    snapshot = current_snapshot()
    if (document := snapshot.documents.get(model_id)) is None:
        raise NotFound(f"there is no model {model_id[:80]!r}")
    return json_response(snapshot, openrouter.one_model(document))
