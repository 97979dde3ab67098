"""Two years of 12-hourly lists, 1,107 refreshes made by the stand-in, and questions about them.

*load*: a list through a claim, a run and a commit, beside reading and parsing the same lists alone.
*ask*: a question to the database, rendered as it is served, beside the current list made in the same way.
Sizes are what the filled database takes, beside the lists themselves packed with gzip.
"""

import contextlib
import gzip
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import func, select, text

import deploy_migrations
from bench.rounds import Row, alternate, microseconds
from local.redis_server import RedisServer
from local.standin import catalogue
from prices.catalogue.changes import ChangeKind
from prices.formats import pricebeat
from prices.history import read
from prices.refresh.replay import Capture, captures_in, replay
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import reading
from prices.store.queries import catalogue_state
from prices.store.tables import price_changes
from prices.upstream.model_list import parse
from tests.support.postgres import postgres_server

REFRESHES = int(os.environ.get("BENCH_REFRESHES", "1107"))
MODELS = 420
FIRST, STEP = datetime(2024, 9, 21, tzinfo=UTC), timedelta(hours=12)
ROUNDS, TIMES = 9, 5
PAGE = 1000
ONE = Decimal(1)


def measure() -> Iterator[Row]:
    """Measure on SQLite and on PostgreSQL."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pricebeat-bench-")))
        redis = stack.enter_context(RedisServer(folder, persistent=False))
        captures = _write_lists(folder / "lists")
        urls = {"SQLite": f"sqlite:///{folder}/history.sqlite3"}
        urls["PostgreSQL"] = stack.enter_context(postgres_server())
        for name, url in urls.items():
            yield from _on(name, url, redis.url, captures)


def _write_lists(folder: Path) -> list[Capture]:
    folder.mkdir()
    for number in range(REFRESHES):
        at = FIRST + number * STEP
        body = gzip.compress(catalogue.body(MODELS, at), 1)
        (folder / f"{at:%Y-%m-%dT%H%MZ}.json.gz").write_bytes(body)
    return captures_in(folder)


def _on(name: str, url: str, redis_url: str, captures: list[Capture]) -> Iterator[Row]:
    settings = Settings.from_env({"DATABASE_URL": url, "REDIS_URL": redis_url})
    os.environ["DATABASE_URL"] = settings.database_url
    with contextlib.redirect_stdout(None):
        deploy_migrations.main([])
    services = Services.make(settings)
    try:
        began = time.perf_counter()
        for capture in captures:
            parse(capture.read())
        floor = (time.perf_counter() - began) / len(captures)
        began = time.perf_counter()
        replay(services, captures, worker="bench")
        taken = (time.perf_counter() - began) / len(captures)
        claim = f"load, {name}"
        yield Row(claim, "read and parse a list", floor * 1e6, "µs", 1.0, None)
        yield Row(claim, "replay a list", taken * 1e6, "µs", taken / floor, None)
        yield from _sizes(name, services, captures)
        yield from _questions(name, services)
    finally:
        services.engine.dispose()
        services.redis.close()


def _sizes(name: str, services: Services, captures: list[Capture]) -> Iterator[Row]:
    lists = sum(capture.path.stat().st_size for capture in captures) / 2**20
    size = "SELECT pg_database_size(current_database())"
    if services.engine.dialect.name == "sqlite":
        size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    with reading(services.engine) as connection:
        taken = connection.execute(text(size)).scalar_one() / 2**20
    yield Row(f"size, {name}", "the lists, gzip -1", lists, "MiB", 1.0, None)
    yield Row(f"size, {name}", "the database", taken, "MiB", taken / lists, None)


def _questions(name: str, services: Services) -> list[Row]:
    middle = FIRST + REFRESHES // 2 * STEP

    def ask(at: datetime | None = None, revision: int | None = None, slug: str | None = None) -> bytes:
        with reading(services.engine) as connection:
            asked = revision or catalogue_state(connection).revision
            found = read.prices(connection, asked, at=at, slug=slug)
        return pricebeat.price_list(found, ONE, asked, at)

    def follow(since: int) -> bytes:
        with reading(services.engine) as connection:
            found = read.changes(connection, since=since, limit=PAGE, kinds=frozenset(ChangeKind))
        return pricebeat.change_list(found, since, more=True)

    with reading(services.engine) as connection:
        newest = catalogue_state(connection).revision
        *_others, last = read.prices(connection, newest)
        changes: int = connection.execute(select(func.max(price_changes.c.id))).scalar_one()
    measures = {
        "the current list": lambda: ask(),
        "the list of a year ago, at": lambda: ask(at=middle),
        "the list of a year ago, revision": lambda: ask(revision=newest // 2),
        "one model of a year ago, at": lambda: ask(at=middle, slug=last.slug),
        f"{PAGE:,} changes of a year ago": lambda: follow(changes // 2),
    }
    acts = {what: microseconds(act, TIMES) for what, act in measures.items()}
    return alternate(f"ask, {name}", "µs", acts, rounds=ROUNDS)
