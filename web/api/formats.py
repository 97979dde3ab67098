"""The formats of clients, for what the layer before Flask hands on: a query, or no prices yet."""

from flask import Response, request

from web.context import current_snapshot
from web.published import PATHS
from web.responses import published_response


def client_format() -> Response:
    """Give the catalogue in the format of this path."""
    source, snapshot = PATHS[str(request.url_rule)], current_snapshot()
    return published_response(snapshot, source.body(snapshot.published), source.media_type)
