"""Health for load balancers: does the process live, can it answer, and how is the whole cluster."""

from typing import Any

import msgspec
from flask import Response, has_app_context

from prices.errors import PricesError, one_line
from prices.runtime.redis_client import make_redis
from prices.runtime.settings import Settings
from web.context import WebContext, web_context


def alive() -> Response:
    """Say that the process lives; touches nothing."""
    return _json({"status": "alive"}, 200)


def ready() -> Response:
    """Say whether this instance can answer: from memory, Redis or the database."""
    try:
        snapshot = web_context().reader.current()
    except PricesError as error:
        return _json({"status": "unready", "reason": one_line(error)}, 503)
    return _json({"status": "ready", "revision": snapshot.revision, "age_seconds": snapshot.age_seconds}, 200)


def report() -> Response:
    """Give the full report; 503 when the service is unhealthy."""
    from prices.operations.health import UNHEALTHY

    told = get_health_check_data()
    return _json(told, 503 if told["status"] == UNHEALTHY else 200)


def get_health_check_data() -> dict[str, Any]:
    """Give the full report: database, redis, worker, beat, prices and the overall `status`.

    Inside an application it is the cluster's, a few seconds old at most, with what this instance serves as
    `instance`; outside, that of the environment's stores.
    """
    if has_app_context():
        context = web_context()
        return {**context.health.current(), "instance": _instance(context)}
    from prices.operations.health import HealthReporter
    from prices.services import Services

    settings = Settings.from_env()
    services = Services.make_for_web(settings, make_redis(settings.redis_url, process="web"))
    try:
        return HealthReporter(services).report()
    finally:
        services.close()


def _instance(context: WebContext) -> dict[str, Any]:
    """Say what this instance alone can know: whether it can serve, and what."""
    try:
        snapshot = context.reader.current()
    except PricesError as error:
        return {"status": "down", "reason": one_line(error)}
    return {"status": "ok", "revision": snapshot.revision, "age_seconds": snapshot.age_seconds}


def _json(body: dict[str, Any], status: int) -> Response:
    response = Response(msgspec.json.encode(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
