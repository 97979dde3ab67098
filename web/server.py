"""The server of the web process: granian, its workers forked from a process that has loaded the code."""

import os
import resource
import socket
import threading
from typing import Any, Final

from flask import Flask
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from prices.errors import SettingsError
from prices.runtime.settings import ServerSettings
from web import create_app, routes
from web.worker import work_process

THREADS: Final = 4
"""A worker's threads: two may wait for the database, so that the others always serve from memory."""
HEAD_SECONDS: Final = 10
"""How long a client may take to send a head, and how long a connection may be idle; then it is closed."""
MAX_HEAD: Final = 64 * 1024
"""Bytes of a request's head; a longer one is answered with 431."""
MAX_CONNECTIONS: Final = 8192
"""Connections of a worker; one more waits until another ends. Most of a crowd is idle, at a few KiB each."""
FILES_BESIDE: Final = 256
"""Files that a worker opens beside its connections: stores, logs, modules."""
STOP_SECONDS: Final = 25
"""How long requests on their way may take at a stop: a platform kills after 30 s."""
MAX_MIB: Final = 1024
"""A worker that grows beyond this is replaced, many times what one has with a list of some hundred models."""
LOAD_SECONDS: Final = 0.1
"""How long after its start a worker loads what only the database needs: by then Redis has answered."""

_PASSED_ON: Final[dict[str, Any]] = {"handlers": [], "propagate": True, "level": "INFO"}
LOGGERS: Final = {"loggers": {"_granian": _PASSED_ON, "granian.access": _PASSED_ON}}


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
    connections = _raise_file_limit(MAX_CONNECTIONS + FILES_BESIDE) - FILES_BESIDE
    Granian(
        f"{__name__}:{application.__name__}",
        factory=True,
        interface=Interfaces.WSGI,  # whose threads it grants; `work_process` serves by the other interface
        http=HTTPModes.http1,  # a stream of HTTP/2 has no deadline; the routers of platforms speak HTTP/1
        http1_settings=HTTP1Settings(header_read_timeout=1000 * HEAD_SECONDS, max_buffer_size=MAX_HEAD),
        backpressure=max(1, min(MAX_CONNECTIONS, connections)),
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
    ).serve(work_process)


def _raise_file_limit(wanted: int) -> int:
    """Let this process and its workers open as many files as wanted, where the system does; give how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if limit > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(soft, limit)


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
