"""From the commit of a revision until the last of eight web processes serves it.

Each process has a port of its own, and is asked for the list twenty times a second. The time counts from when
the refresh begins to publish, which is right after its commit.
"""

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from bench.processes import Site, open_site, wait_until
from bench.rounds import Row, alternate
from local.ports import HOST, free_port
from local.standin.client import Standin
from prices.refresh.story import refresh_prices
from prices.runtime.settings import Settings
from prices.services import Services

PROCESSES = 8
ROUNDS = 15
POLL_SECONDS = 0.05
MODEL = "granite-bay/two-tiers"


def measure() -> Iterator[Row]:
    """Measure with a list of 421 models."""
    with Standin(models=421) as upstream, open_site(OPENROUTER_BASE_URL=upstream.base_url) as site:
        site.migrate()
        services = Services.make(Settings.from_env(site.env))
        refresh_prices(services, worker="bench")
        ports = [_start(site) for _ in range(PROCESSES)]
        rounds = [_propagated(upstream, services, ports, number) for number in range(ROUNDS)]
        served = {
            "the first process": iter([min(times) for times in rounds]).__next__,
            "the last process": iter([max(times) for times in rounds]).__next__,
        }
        yield from alternate("propagate", "ms", served, rounds=ROUNDS)


def _start(site: Site) -> int:
    port = free_port()
    site.start("web", PORT=str(port), HOST=HOST, WEB_CONCURRENCY="1")
    wait_until(lambda: _revision(port))
    return port


def _propagated(upstream: Standin, services: Services, ports: list[int], number: int) -> list[float]:
    """Give for each process the ms from a commit until it served what was committed."""
    committed: list[float] = []

    def step(name: str) -> None:
        if name == "publishing":
            committed.append(time.perf_counter())

    watches = [_Watch(port) for port in ports]
    for watch in watches:
        watch.start()
    upstream.clear()
    upstream.answer(patch={MODEL: {"name": f"Renamed {number}"}}, times=1)
    refresh_prices(services, worker="bench", force=True, progress=step)
    for watch in watches:
        watch.join()
    return [1000 * (watch.served_at - committed[0]) for watch in watches]


class _Watch(threading.Thread):
    """Asks a process again and again until it serves another revision."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port, self._before = port, _revision(port)
        self.served_at = 0.0

    def run(self) -> None:
        """Ask until then."""
        while _revision(self._port) in (None, self._before):
            time.sleep(POLL_SECONDS)
        self.served_at = time.perf_counter()


def _revision(port: int) -> str | None:
    """Give the revision that a process serves, None where it does not answer."""
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("HEAD", "/api/v1/models", headers={"Accept-Encoding": "gzip"})
        return connection.getresponse().headers["X-Price-Revision"]
    except OSError:
        return None
    finally:
        connection.close()
