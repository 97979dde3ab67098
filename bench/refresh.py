"""A whole refresh by `prices.refresh`, of lists of 421, 4,210 and 42,100 models.

*refresh*: claim, fetch, stash, parse, compare, commit, pack and publish two bodies, release; forced, so that
it is done whatever is fresh. *All new* fills an empty catalogue. *All changed* moves every price that is an
amount, and something else of the models that have none. *Unchanged* fetches the same bytes again. The floor
does with the same list what nothing can be saved of: GET and parse, one upsert of every model in one
transaction, one gzip.

*stay as it was*: the unchanged list beside GET and parse alone.

*grow*: all changed, of each size beside that of 421 models. *Memory* is the most that a process which
refreshes once has resident; a worker's process that grew beyond what Celery allows it is replaced.
"""

import contextlib
import gzip
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import requests
import structlog
from sqlalchemy import make_url, text

import deploy_migrations
from bench.processes import wait_until
from bench.rounds import Row, alternate
from local.ports import HOST, answers, free_port
from local.redis_server import RedisServer
from prices.database import writing
from prices.refresh import refresh_prices
from prices.services import Services
from prices.settings import ROOT, Settings
from tests.openrouter_standin import catalogue
from tests.postgres import postgres_server

SIZES: Final = {421: 7, 4_210: 3, 42_100: 1}
"""How many models, and how many rounds are measured with them."""
NOON: Final = datetime(2026, 8, 6, 12, tzinfo=UTC)
HALF: Final = Decimal("0.5")
_DATABASES: Final = itertools.count(1)
FLOOR, FETCHED, IDLE = "GET, parse, upsert, gzip", "GET and parse", "no refresh"
REFRESHES: Final = {
    IDLE: ("close", 0),
    "all new": ("another", 0),
    "all changed": ("another", 1),
    "1 % changed": ("one_percent", 2),
    "unchanged": ("one_percent", 2),
}
"""What is done in a process of its own to see its memory, and the list that is there before."""


class Site:
    """One catalogue after another, and the lists of one size that upstream serves.

    The lists are numbered; in each, every model is another than in the one before. `7+` is list 7 with every
    hundredth model changed once more.
    """

    def __init__(self, url: str, redis_url: str, lists_url: str) -> None:
        self._url, self._redis_url, self.lists_url = url, redis_url, lists_url
        self._number = 0
        self._services: Services | None = None

    def empty(self) -> None:
        """Begin with an empty catalogue."""
        name, url = f"bench_{next(_DATABASES)}", make_url(self._url)
        if url.get_backend_name() == "postgresql":
            _make_database(self._url, name)
        else:
            name = f"{url.database}-{name}"
        self.open(url.set(database=name).render_as_string(hide_password=False))
        with contextlib.redirect_stdout(None):
            deploy_migrations.main([])
        self.services.redis.flushdb()

    def open(self, database_url: str, number: int | None = None) -> None:
        """Go on with the catalogue in a database, which holds the list of a number."""
        self.close()
        self._number = self._number if number is None else number
        os.environ["DATABASE_URL"] = database_url
        self._services = Services.make(
            Settings.from_env({"DATABASE_URL": database_url, "REDIS_URL": self._redis_url})
        )

    @property
    def services(self) -> Services:
        """The clients of the open catalogue."""
        assert self._services, "no catalogue is open"
        return self._services

    def close(self) -> None:
        """Close all connections."""
        if self._services:
            self._services.engine.dispose()
            self._services.redis.close()

    def another(self) -> None:
        """Refresh with a list in which every model is another than before, or new in an empty catalogue."""
        self._number += 1
        self._refresh(f"{self._number}")

    def one_percent(self) -> None:
        """Refresh with a list in which every hundredth model is another than before."""
        self._refresh(f"{self._number}+")

    def _refresh(self, name: str) -> None:
        upstream = replace(self.services.settings, upstream_url=f"{self.lists_url}/{name}")
        done = refresh_prices(replace(self.services, settings=upstream), worker="bench", force=True)
        assert done.outcome == "refreshed", done

    def fetched(self) -> Any:
        """Get a list and parse it."""
        response = requests.get(f"{self.lists_url}/{self._number}/models", timeout=60)
        return msgspec.json.decode(response.content), response.content

    def floor(self) -> None:
        """Do what nothing can be saved of."""
        told, body = self.fetched()
        rows = [{"id": row["id"], "document": msgspec.json.encode(row).decode()} for row in told["data"]]
        with writing(self.services.engine) as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS floor (id TEXT PRIMARY KEY, document TEXT)"))
            connection.execute(
                text(
                    "INSERT INTO floor VALUES (:id, :document)"
                    " ON CONFLICT (id) DO UPDATE SET document = excluded.document"
                ),
                rows,
            )
        gzip.compress(body, 6)


def measure() -> Iterator[Row]:
    """Measure each engine with each size."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pricebeat-bench-")))
        redis = stack.enter_context(RedisServer(folder, persistent=False))
        lists_url = stack.enter_context(_lists(folder / "lists"))
        engines = {"SQLite": f"sqlite:///{folder}/refresh.sqlite3"}
        engines["PostgreSQL"] = stack.enter_context(postgres_server())
        for engine, url in engines.items():
            grown: list[Row] = []
            for models, rounds in SIZES.items():
                site = Site(url, redis.url, f"{lists_url}/{models}")
                rows = list(_on(site, f"{models:,} models, {engine}", rounds))
                yield from rows
                grown.append(next(row for row in rows if row.what == "all changed"))
            smallest = grown[0].median
            for models, row in zip(SIZES, grown, strict=True):
                yield Row(
                    f"grow, {engine}", f"{models:,} models", row.median, "ms", row.median / smallest, None
                )
        yield from _memory(engines["SQLite"], redis.url, lists_url)


def _on(site: Site, about: str, rounds: int) -> Iterator[Row]:
    def timed(act: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> Callable[[], float]:
        def once() -> float:
            prepare()
            began = time.perf_counter()
            act()
            return 1000 * (time.perf_counter() - began)

        return once

    def emptied() -> None:
        site.empty()
        site.floor()

    emptied()  # nobody pays for the first of everything
    site.another()
    refreshes = {
        FLOOR: timed(site.floor),
        "all changed": timed(site.another),
        "1 % changed": timed(site.one_percent),
        "all new": timed(site.another, emptied),
    }
    yield from alternate(f"refresh, {about}", "ms", refreshes, rounds=rounds)
    site.one_percent()
    stays = {FETCHED: timed(site.fetched), "unchanged": timed(site.one_percent)}
    yield from alternate(f"stay as it was, {about}", "ms", stays, rounds=rounds)
    site.close()


def _make_database(server: str, name: str) -> None:
    services = Services.make(Settings.from_env({"DATABASE_URL": server}))
    with services.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    services.engine.dispose()


@contextlib.contextmanager
def _lists(folder: Path) -> Iterator[str]:
    """Serve, from a process of its own, each list under `/<models>/<name>/models`."""
    for models, rounds in SIZES.items():
        first = msgspec.json.decode(catalogue.body(models, NOON))
        for number in range(2 * rounds + 3):
            another = _moved(first, Decimal(number) / 100, 1)
            for name, told in ((f"{number}", another), (f"{number}+", _moved(another, HALF, 100))):
                file = folder / str(models) / name / "models"
                file.parent.mkdir(parents=True)
                file.write_bytes(msgspec.json.encode(told))
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        yield f"http://{HOST}:{port}"
    finally:
        server.kill()
        server.wait()


def _moved(told: Any, by: Decimal, every: int) -> Any:
    """Give a list in which every so manieth model has other prices, or another length of its context."""
    rows = [_other(row, by) if position % every == 0 else row for position, row in enumerate(told["data"])]
    return told | {"data": rows}


def _other(row: Any, by: Decimal) -> Any:
    moved = {
        name: str(Decimal(price) * (1 + by))
        for name, price in row["pricing"].items()
        if isinstance(price, str) and Decimal(price) > 0
    }
    if not moved:
        return row | {"context_length": (row.get("context_length") or 0) + int(1000 * by)}
    return row | {"pricing": row["pricing"] | moved}


def _memory(url: str, redis_url: str, lists_url: str) -> Iterator[Row]:
    """Refresh each time in a process of its own, as a worker does that was replaced for having grown."""
    for models in SIZES:
        site = Site(url, redis_url, f"{lists_url}/{models}")
        site.empty()
        site.close()
        told = {what: _peak(site, *how) for what, how in REFRESHES.items()}
        before = told[IDLE]
        for what, peak in told.items():
            yield Row(f"memory, {models:,} models", what, peak, "MiB", peak / before, None)


def _peak(site: Site, act: str, number: int) -> float:
    url, redis_url = site.services.settings.database_url, site.services.settings.redis_url
    arguments = [url, redis_url, site.lists_url, act, str(number)]
    command = [sys.executable, "-m", "bench.refresh", *arguments]
    return float(subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout)


def _resident_at_most() -> float:
    """Give this process's peak resident memory, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(url: str, redis_url: str, lists_url: str, act: str, number: str) -> int:
    """Refresh once in this process, and print its peak of memory."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    site = Site(url, redis_url, lists_url)
    site.open(url, int(number))
    getattr(site, act)()
    site.close()
    print(_resident_at_most())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
