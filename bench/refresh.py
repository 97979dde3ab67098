"""A whole refresh by `prices.refresh`, of lists of 421, 4,210 and 42,100 models, on both engines.

*refresh*: claim, fetch, stash, parse, compare, commit, pack and publish two bodies, release; forced, so that
it is done whatever is fresh. *All new* fills an empty catalogue. *All changed* moves every price that is an
amount, and something else of the models that have none. *Unchanged* fetches the same bytes again. The floor
does with the same list what nothing can be saved of: GET and parse, one upsert of every model in one
transaction, one gzip.

*stay as it was*: the unchanged list beside GET and parse alone.

*grow*: all changed, of each size beside that of 421 models. *Memory* is the most that a process of its own
had resident, after all of that; its floor is such a process before its first refresh.
"""

import contextlib
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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

SIZES: Final = {int(n): 5 for n in os.environ.get("SZ", "421").split(",")}
"""How many models, and how many rounds are measured with them."""
NOON: Final = datetime(2026, 8, 6, 12, tzinfo=UTC)
FACTOR: Final = Decimal("1.25")
FLOOR, FETCHED = "GET, parse, upsert, gzip", "GET and parse"


class Site:
    """One empty catalogue after another, and the lists of one size that upstream serves."""

    def __init__(self, url: str, redis_url: str, lists_url: str) -> None:
        self._url, self._redis_url, self._lists_url = url, redis_url, lists_url
        self._count, self._name = 0, "a"
        self._services: dict[str, Services] = {}

    def empty(self) -> None:
        """Begin with an empty catalogue."""
        self.close()
        self._count += 1
        name, url = f"bench_{os.getpid()}_{self._count}", make_url(self._url)
        if url.get_backend_name() == "postgresql":
            _make_database(self._url, name)
        else:
            name = f"{url.database}-{name}"
        os.environ["DATABASE_URL"] = url.set(database=name).render_as_string(hide_password=False)
        with contextlib.redirect_stdout(None):
            deploy_migrations.main([])
        settings = {"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": self._redis_url}
        self._services = {
            name: Services.make(
                Settings.from_env({**settings, "OPENROUTER_BASE_URL": f"{self._lists_url}/{name}"})
            )
            for name in ("a", "a1", "b", "b1")
        }
        self._services["a"].redis.flushdb()

    def close(self) -> None:
        """Close all connections."""
        for services in self._services.values():
            services.engine.dispose()
            services.redis.close()

    def all_new(self) -> None:
        """Refresh an empty catalogue."""
        self._refresh("a")

    def all_changed(self) -> None:
        """Refresh with a list in which every model is another than before."""
        self._refresh("b" if self._name == "a" else "a")

    def one_percent(self) -> None:
        """Refresh with a list in which every hundredth model is another than before."""
        self._refresh(f"{self._name}1")
        self._name = self._name[0]

    def unchanged(self) -> None:
        """Refresh with the list that was there before."""
        self._refresh(f"{self._name}1")

    def _refresh(self, name: str) -> None:
        done = refresh_prices(self._services[name], worker="bench", force=True)
        assert done.outcome == "refreshed", done
        self._name = name[0]

    def fetched(self) -> Any:
        """Get a list and parse it."""
        response = requests.get(f"{self._lists_url}/a/models", timeout=60)
        return msgspec.json.decode(response.content), response.content

    def floor(self) -> None:
        """Do what nothing can be saved of."""
        told, body = self.fetched()
        rows = [{"id": row["id"], "document": msgspec.json.encode(row).decode()} for row in told["data"]]
        with writing(self._services["a"].engine) as connection:
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

    site.empty()
    site.floor()  # nobody pays for the first of everything
    site.all_new()
    refreshes = {
        FLOOR: timed(site.floor),
        "all changed": timed(site.all_changed),
        "1 % changed": timed(site.one_percent),
        "all new": timed(site.all_new, site.empty),
    }
    yield from alternate(f"refresh, {about}", "ms", refreshes, rounds=rounds)
    site.one_percent()
    stays = {FETCHED: timed(site.fetched), "unchanged": timed(site.unchanged)}
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
    for models in SIZES:
        first = msgspec.json.decode(catalogue.body(models, NOON))
        second = _moved(first, 1)
        for name, told in (
            ("a", first),
            ("a1", _moved(first, 100)),
            ("b", second),
            ("b1", _moved(second, 100)),
        ):
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


def _moved(told: Any, every: int) -> Any:
    """Give a list of which every so manieth model has other prices, or another length of its context."""
    rows = [_other(row) if position % every == 0 else row for position, row in enumerate(told["data"])]
    return told | {"data": rows}


def _other(row: Any) -> Any:
    moved = {
        name: str(Decimal(price) * FACTOR)
        for name, price in row["pricing"].items()
        if isinstance(price, str) and Decimal(price) > 0
    }
    if not moved:
        return row | {"context_length": (row.get("context_length") or 0) + 1}
    return row | {"pricing": row["pricing"] | moved}


def _memory(url: str, redis_url: str, lists_url: str) -> Iterator[Row]:
    for models in SIZES:
        arguments = [url, redis_url, f"{lists_url}/{models}"]
        command = [sys.executable, "-m", "bench.refresh", *arguments]
        done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
        before, most = (float(word) for word in done.stdout.split())
        claim = f"memory, {models:,} models"
        yield Row(claim, "before a refresh", before, "MiB", 1.0, None)
        yield Row(claim, "at most", most, "MiB", most / before, None)


def _resident_at_most() -> float:
    """Give this process's peak resident memory, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(arguments: list[str]) -> int:
    """Refresh again and again, in a process of its own; print the memory before and at most."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    site = Site(*arguments)
    site.empty()
    before = _resident_at_most()
    for act in (site.all_new, site.all_changed, site.one_percent, site.unchanged):
        act()
    site.close()
    print(before, _resident_at_most())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
