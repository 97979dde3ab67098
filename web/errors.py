"""Errors as clients take them: problem details (RFC 9457), or OpenRouter's shape where we stand in for it."""

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from prices.errors import PricesError, in_full, one_line
from prices.formats import openrouter
from prices.runtime.logs import log

OPENROUTER_PATHS = ("/api/v1/models", "/api/v1/model/")


def register(app: Flask) -> None:
    """Translate every error of the application, once."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(PricesError, _no_prices)
    app.register_error_handler(Exception, _unexpected)


def error_response(status: int, title: str, detail: str) -> Response:
    """Say in the client's language what is wrong. No cache may keep it: a 404 of now may be a model soon."""
    if request.path.startswith(OPENROUTER_PATHS):
        response = Response(openrouter.error(status, detail), status, content_type="application/json")
    else:
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        body = msgspec.json.encode(problem)
        response = Response(body, status, content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _http_error(error: HTTPException) -> Response:
    response = error_response(
        error.code or 500, error.name, one_line(Exception(error.description or error.name))
    )
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _no_prices(error: PricesError) -> Response:
    log.error("A request could not be answered", path=request.path, reason=in_full(error))
    response = error_response(503, "Service Unavailable", "no prices can be had at the moment")
    response.headers["Retry-After"] = "5"
    return response


def _unexpected(error: Exception) -> Response:
    log.error("A request failed", path=request.path, exc_info=error)
    return error_response(500, "Internal Server Error", "the request failed; the log says why")
