"""`/api/v1/prices`: our own shape, with the state of every price spelled out."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from prices.formats import pricebeat
from web.api.parameters import only
from web.context import current_snapshot
from web.responses import json_response, published_response

blueprint = Blueprint("prices", __name__)


@blueprint.get("/api/v1/prices")
def list_prices() -> Response:
    """Give the prices of all models, or of those whose id or name holds `q`."""
    only("q")
    snapshot = current_snapshot()
    sought = request.args.get("q", "").strip()
    if not sought:
        return published_response(snapshot, snapshot.published.prices, lambda: snapshot.prices_body)
    found = [snapshot.prices[model_id] for model_id in snapshot.search(sought)]
    return json_response(snapshot, pricebeat.enveloped(found, snapshot.revision))


@blueprint.get("/api/v1/prices/<path:model_id>")
def one_price(model_id: str) -> Response:
    """Give the prices of one model."""
    only()
    snapshot = current_snapshot()
    if (entry := snapshot.prices.get(model_id)) is None:
        raise NotFound(f"there is no model {model_id[:80]!r}")
    return json_response(snapshot, entry)
