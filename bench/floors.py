"""What serving cannot cost less than: constant bytes, by a bare WSGI callable and by bare Flask."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

BODY = "BENCH_BODY"
"""Names the file of the packed body to serve."""
HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip", "ETag": '"constant"'}


def bare_wsgi() -> Callable[[dict[str, Any], "StartResponse"], Iterable[bytes]]:
    """Make an application that is one function: the body, or a 304 for whom asks with its validator."""
    body = Path(os.environ[BODY]).read_bytes()
    headers = [*HEADERS.items(), ("Content-Length", str(len(body)))]

    def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("HTTP_IF_NONE_MATCH"):
            start_response("304 Not Modified", [("ETag", HEADERS["ETag"])])
            return ()
        start_response("200 OK", headers)
        return (body,)

    return application


def bare_flask() -> Flask:
    """Make a Flask application of one view, which returns constant bytes."""
    body = Path(os.environ[BODY]).read_bytes()
    app = Flask(__name__)

    def constant(**_path: str) -> Response:
        return Response(body, headers=HEADERS)

    app.get("/<path:path>")(constant)
    return app


def flask_with_stores() -> Flask:
    """Make a Flask application that asks the database and Redis once each as it starts."""
    import redis
    import sqlalchemy

    app = Flask(__name__)
    with sqlalchemy.create_engine(os.environ["DATABASE_URL"]).connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    redis.Redis.from_url(os.environ["REDIS_URL"]).ping()
    app.get("/readyz")(lambda: "ready")
    return app
