"""A request as granian's RSGI interface has it, and as WSGI has it (PEP 3333)."""

import io
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

_EVERY_REQUEST: Final[Mapping[str, Any]] = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


class Headers(Protocol):
    """A request's headers, by their names in small letters; one that came twice is there twice."""

    def items(self) -> list[tuple[str, str]]:
        """Give all of them."""

    def get(self, key: str, default: str | None = None) -> str | None:
        """Give the first of a name."""

    def __contains__(self, key: str) -> bool: ...


class Scope(Protocol):
    """A request without its body (RSGI's HTTP scope)."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Headers


def environ_of(scope: Scope, body: io.IOBase, length: int | None) -> dict[str, Any]:
    """Make the environ of a request, whose `body` of a known `length`, if any, has arrived."""
    environ = {
        **_EVERY_REQUEST,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body,
    }
    environ["SERVER_NAME"], _, environ["SERVER_PORT"] = scope.server.rpartition(":")
    environ["REMOTE_ADDR"], _, environ["REMOTE_PORT"] = scope.client.rpartition(":")
    for name, text in scope.headers.items():
        variable = _variable(name)
        if variable in environ:
            separator = "; " if name == "cookie" else ","
            text = f"{environ[variable]}{separator}{text}"
        environ[variable] = text
    if length:
        environ["CONTENT_LENGTH"] = str(length)
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    return environ


@lru_cache(maxsize=256)
def _variable(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"
