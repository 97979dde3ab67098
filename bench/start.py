"""From the start of the web process until a client has its first answers, each with one worker.

*ready*: until `/readyz` is 200 and `/api/v1/models` has been served whole, Redis holding the published list.
The floor is bare Flask on the same server, which imports SQLAlchemy and redis, and asks each once.

*tell the truth*: until `/readyz` answers what is true, 503 where both hang. A store that hangs accepts
connections and says nothing.
"""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator

from bench.processes import Site, open_site
from bench.rounds import Row, alternate
from local.ports import HOST, free_port
from local.standin.client import Standin
from prices.refresh.story import refresh_prices
from prices.runtime.settings import Settings
from prices.services import Services

ROUNDS = 9
FLOOR = (
    "granian --interface wsgi --factory --no-ws --workers 1 --blocking-threads 4"
    " --host $HOST --port $PORT bench.floors:flask_with_stores"
)


def measure() -> Iterator[Row]:
    """Measure with a list of 421 models."""
    with (
        Standin(models=421) as upstream,
        open_site(OPENROUTER_BASE_URL=upstream.base_url) as site,
        _hung() as hung,
    ):
        site.migrate()
        refresh_prices(Services.make(Settings.from_env(site.env)), worker="bench")

        def started(
            *paths: str, command: str | None = None, status: int = 200, **settings: str
        ) -> Callable[[], float]:
            return lambda: 1000 * _seconds(site, paths, command, status, settings)

        served = ("/readyz", "/api/v1/models")
        ready = {
            "bare Flask, SQLAlchemy and redis": started("/readyz", command=FLOOR),
            "ours, and the list served": started(*served),
        }
        yield from alternate("ready", "ms", ready, rounds=ROUNDS)
        no_redis, hung_redis = f"redis://{HOST}:{free_port()}", f"redis://{hung}"
        hung_database = f"postgresql://nobody@{hung}/none"
        truth = {
            "both answer": started("/readyz"),
            "Redis refuses": started("/readyz", REDIS_URL=no_redis),
            "Redis hangs": started("/readyz", REDIS_URL=hung_redis),
            "the database hangs": started("/readyz", DATABASE_URL=hung_database),
            "Redis and the database hang": started(
                "/readyz", status=503, REDIS_URL=hung_redis, DATABASE_URL=hung_database
            ),
        }
        yield from alternate("tell the truth", "ms", truth, rounds=ROUNDS)


def _seconds(
    site: Site, paths: tuple[str, ...], command: str | None, status: int, settings: dict[str, str]
) -> float:
    port = free_port()
    began = time.perf_counter()
    process = site.start("web", command=command, PORT=str(port), HOST=HOST, WEB_CONCURRENCY="1", **settings)
    try:
        for path in paths:
            _wait_for_answer(port, path, status)
        return time.perf_counter() - began
    finally:
        process.kill()


def _wait_for_answer(port: int, path: str, status: int) -> None:
    """Ask until the answer is what it should come to. Raises TimeoutError."""
    deadline, answered = time.monotonic() + 30, None
    while answered != status:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is answered with {answered} after 30 s, not with {status}")
        with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                answered = connection.getresponse().status
            except OSError:
                time.sleep(0.002)


@contextlib.contextmanager
def _hung() -> Iterator[str]:
    """Give the address of someone who takes connections and never says a word."""
    with socket.create_server((HOST, 0), backlog=128) as server:
        yield f"{HOST}:{server.getsockname()[1]}"
