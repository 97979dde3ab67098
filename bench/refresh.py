"""A whole refresh by `prices.refresh.story`, of lists of 421, 4,210 and 42,100 models.

*refresh*: claim, fetch, stash, parse, compare, commit, pack and publish all bodies, release; forced, so that
it is done whatever is fresh. *All new* fills an empty catalogue. *All changed* moves every price that is an
amount, and something else of the models that have none. *Unchanged* fetches the same bytes again. The floor
does with the same list what nothing can be saved of: GET and parse, one upsert of every model in one
transaction, one gzip.

*stay as it was*: the unchanged list beside GET and parse alone.

*grow*: all changed, of each size beside that of 421 models. *Memory* is the most that a process which
refreshes once has resident; a worker's process that grew beyond what Celery allows it is replaced.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from bench.catalogues import Catalogues
from bench.lists import served_lists
from bench.rounds import Row, alternate
from local.redis_server import RedisServer
from prices.runtime.settings import ROOT
from tests.support.postgres import postgres_server

SIZES: Final = {421: 7, 4_210: 3, 42_100: 1}
"""How many models, and how many rounds are measured with them."""
FLOOR, FETCHED, IDLE = "GET, parse, upsert, gzip", "GET and parse", "no refresh"
REFRESHES: Final = {
    IDLE: ("close", 0),
    "all new": ("another", 0),
    "all changed": ("another", 1),
    "1 % changed": ("one_percent", 2),
    "unchanged": ("one_percent", 2),
}
"""What is done in a process of its own to see its memory, and the list that is there before."""


def measure() -> Iterator[Row]:
    """Measure each engine with each size."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pricebeat-bench-")))
        redis = stack.enter_context(RedisServer(folder, persistent=False))
        counts = {models: 2 * rounds + 3 for models, rounds in SIZES.items()}
        lists_url = stack.enter_context(served_lists(folder / "lists", counts))
        engines = {"SQLite": f"sqlite:///{folder}/refresh.sqlite3"}
        engines["PostgreSQL"] = stack.enter_context(postgres_server())
        for engine, url in engines.items():
            grown: list[Row] = []
            for models, rounds in SIZES.items():
                catalogues = Catalogues(url, redis.url, f"{lists_url}/{models}")
                rows = list(_on(catalogues, f"{models:,} models, {engine}", rounds))
                yield from rows
                grown.append(next(row for row in rows if row.what == "all changed"))
            smallest = grown[0].median
            for models, row in zip(SIZES, grown, strict=True):
                yield Row(
                    f"grow, {engine}", f"{models:,} models", row.median, "ms", row.median / smallest, None
                )
        yield from _memory(engines["SQLite"], redis.url, lists_url)


def _on(catalogues: Catalogues, about: str, rounds: int) -> Iterator[Row]:
    def timed(act: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> Callable[[], float]:
        def once() -> float:
            prepare()
            began = time.perf_counter()
            act()
            return 1000 * (time.perf_counter() - began)

        return once

    def emptied() -> None:
        catalogues.empty()
        catalogues.floor()

    emptied()  # nobody pays for the first of everything
    catalogues.another()
    refreshes = {
        FLOOR: timed(catalogues.floor),
        "all changed": timed(catalogues.another),
        "1 % changed": timed(catalogues.one_percent),
        "all new": timed(catalogues.another, emptied),
    }
    yield from alternate(f"refresh, {about}", "ms", refreshes, rounds=rounds)
    catalogues.one_percent()
    stays = {FETCHED: timed(catalogues.fetched), "unchanged": timed(catalogues.one_percent)}
    yield from alternate(f"stay as it was, {about}", "ms", stays, rounds=rounds)
    catalogues.close()


def _memory(url: str, redis_url: str, lists_url: str) -> Iterator[Row]:
    """Refresh each time in a process of its own, as a worker does that was replaced for having grown."""
    for models in SIZES:
        catalogues = Catalogues(url, redis_url, f"{lists_url}/{models}")
        catalogues.empty()
        catalogues.close()
        told = {what: _peak(catalogues, *how) for what, how in REFRESHES.items()}
        before = told[IDLE]
        for what, peak in told.items():
            yield Row(f"memory, {models:,} models", what, peak, "MiB", peak / before, None)


def _peak(catalogues: Catalogues, act: str, number: int) -> float:
    url, redis_url = catalogues.services.settings.database_url, catalogues.services.settings.redis_url
    arguments = [url, redis_url, catalogues.lists_url, act, str(number)]
    command = [sys.executable, "-m", "bench.refresh", *arguments]
    return float(subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout)


def _resident_at_most() -> float:
    """Give this process's peak resident memory, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(url: str, redis_url: str, lists_url: str, act: str, number: str) -> int:
    """Refresh once in this process, and print its peak of memory."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    catalogues = Catalogues(url, redis_url, lists_url)
    catalogues.open(url, int(number))
    getattr(catalogues, act)()
    catalogues.close()
    print(_resident_at_most())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
