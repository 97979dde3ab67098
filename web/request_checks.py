"""What every request must keep to before a view sees it."""

from typing import Final

from flask import Flask, request
from werkzeug.exceptions import MethodNotAllowed, RequestURITooLarge

MAX_TARGET: Final = 8 * 1024
"""Characters of path and query together: more than any id, search or time needs."""


def register(app: Flask) -> None:
    """Have every request checked."""
    app.before_request(_check)


def _check() -> None:
    environ = request.environ
    if len(environ["PATH_INFO"]) + len(environ.get("QUERY_STRING", "")) > MAX_TARGET:
        raise RequestURITooLarge(f"path and query may be {MAX_TARGET} characters long together")
    rule, method = request.url_rule, environ["REQUEST_METHOD"]
    # Werkzeug takes `get` for `GET`; methods are case-sensitive (RFC 9110, section 9.1).
    if rule is not None and rule.methods is not None and method not in rule.methods:
        raise MethodNotAllowed(sorted(rule.methods))
