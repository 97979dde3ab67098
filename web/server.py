"""The server of the web process: granian, its workers forked from a process that has loaded the code."""

import os
import socket
import threading
from typing import Any, Final

from flask import Flask
from granian import Granian
from granian.constants import Interfaces

from prices.errors import SettingsError
from prices.settings import ServerSettings
from web import create_app, routes

THREADS: Final = 4
"""A worker's threads: two may wait for the database, so that the others always serve from memory."""
STOP_SECONDS: Final = 25
"""How long requests on their way may take at a stop: a platform kills after 30 s."""
MAX_MIB: Final = 1024
"""A worker that grows beyond this is replaced, many times what one has with a list of some hundred models."""
LOAD_SECONDS: Final = 0.1
"""How long after its start a worker loads what only the database needs: by then Redis has answered."""

_PASSED_ON: Final[dict[str, Any]] = {"handlers": [], "propagate": True, "level": "INFO"}
LOGGERS: Final = {"loggers": {"_granian": _PASSED_ON, "granian.access": _PASSED_ON}}
ACCESS: Final = "%(method)s %(path)s %(status)d %(dt_ms).3f ms"


def application() -> Flask:
    """Make a worker's application, and load in the background what its first requests do without."""
    app = create_app()
    loading = threading.Timer(LOAD_SECONDS, routes.load_all)
    loading.daemon = True
    loading.start()
    return app


def serve(settings: ServerSettings) -> None:
    """Serve until told to stop. Raises SettingsError where it cannot listen."""
    address = _address(settings)
    Granian(
        f"{__name__}:{application.__name__}",
        factory=True,
        interface=Interfaces.WSGI,
        websockets=False,
        address=address,
        port=settings.port,
        workers=settings.workers,
        blocking_threads=THREADS,
        respawn_failed_workers=True,
        workers_max_rss=MAX_MIB,
        workers_kill_timeout=STOP_SECONDS,
        log_dictconfig=LOGGERS,
        log_access=settings.access_log,
        log_access_format=ACCESS,
    ).serve()


def _address(settings: ServerSettings) -> str:
    """Give the IP address to listen at, which is free as far as can be told."""
    try:
        family, kind, _, _, to = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(to)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"HOST {settings.host} is no address") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"HOST {settings.host}, PORT {settings.port}: {reason}") from error
    return str(to[0])
