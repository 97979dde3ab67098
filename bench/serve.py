"""What one machine serves: requests a second, and how long the slowest hundredth waits, asked by wrk.

Each server has two workers, ours and its floors the same granian with the same threads. The list is that of
421 models, packed with gzip. The bare WSGI callable and bare Flask answer everything with constant bytes;
nginx sends the same bytes from a file. Memory is what all processes of a server have resident, shared pages
divided among those who share them (PSS). nginx is measured where it is installed.

*beside LiteLLM*: our list beside its proxy's price map, of which one answer takes so long that it would
disturb all others. Its environment is its own, BENCH_LITELLM names that one's `bin` folder.
"""

import contextlib
import gzip
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bench import load
from bench.floors import BODY
from bench.processes import Site, open_site
from bench.rounds import Row, alternate
from bench.servers import Server, get, litellm, memory_of, nginx, start
from local.ports import HOST
from local.standin.client import Standin
from prices.refresh.story import refresh_prices
from prices.runtime.settings import Settings
from prices.services import Services
from web.server import THREADS

ROUNDS: Final = 5
GRANIAN: Final = (
    f"granian --interface wsgi --factory --no-ws --workers 2 --blocking-threads {THREADS}"
    " --host $HOST --port $PORT bench.floors:"
)
BARE_WSGI, BARE_FLASK, OURS = "bare WSGI", "bare Flask", "ours"


def measure() -> Iterator[Row]:
    """Measure with a list of 421 models."""
    if not load.is_here():
        print("wrk is missing, and with it all rows of serve; Debian: apt-get install wrk", file=sys.stderr)
        return
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Standin(models=421))
        site = stack.enter_context(open_site(OPENROUTER_BASE_URL=upstream.base_url))
        site.migrate()
        refresh_prices(Services.make(Settings.from_env(site.env)), worker="bench")
        yield from _measured(site)


def _measured(site: Site) -> Iterator[Row]:
    ours = start(site, None, WEB_CONCURRENCY="2")
    body, _tag = get(ours.port, "/api/v1/models")
    model = json.loads(gzip.decompress(body))["data"][7]["id"]
    file = site.folder / "constant.gz"
    file.write_bytes(body)
    servers = {
        BARE_WSGI: start(site, f"{GRANIAN}bare_wsgi", **{BODY: str(file)}),
        BARE_FLASK: start(site, f"{GRANIAN}bare_flask", **{BODY: str(file)}),
        OURS: ours,
    }
    floors = {name: servers[name] for name in (BARE_WSGI, OURS, BARE_FLASK)}
    peers = dict(nginx(site, body))
    yield from _asked("the list", floors | peers, "/api/v1/models")
    known = floors | peers
    tags = {name: get(server.port, "/api/v1/models")[1] for name, server in known.items()}
    yield from _asked("the list, known already (304)", known, "/api/v1/models", tags)
    small = {name: servers[name] for name in (BARE_FLASK, OURS)}
    yield from _asked("a search", small, "/api/v1/prices?q=claude")
    yield from _asked("one model", small, f"/api/v1/prices/{model}")
    if proxy := dict(litellm(site)):
        yield from _asked("beside LiteLLM", {OURS: ours} | proxy, "/api/v1/models")
    memory = {name: memory_of(server) for name, server in (floors | peers | proxy).items()}
    yield from alternate("memory of a server", "MiB", memory, rounds=1)


def _asked(
    what: str, servers: Mapping[str, Server], path: str, tags: Mapping[str, str] | None = None
) -> Iterator[Row]:
    loads: dict[str, list[load.Load]] = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            url = f"http://{HOST}:{server.port}{server.path or path}"
            loads[name].append(load.load(url, (tags or {}).get(name)))
    rate = {name: iter([one.rate for one in told]) for name, told in loads.items()}
    yield from alternate(what, "per second", _given(rate), rounds=ROUNDS)
    half = {name: iter([one.half for one in told]) for name, told in loads.items()}
    yield from alternate(f"{what}, half within", "µs", _given(half), rounds=ROUNDS)
    most = {name: iter([one.most for one in told]) for name, told in loads.items()}
    yield from alternate(f"{what}, 99 % within", "µs", _given(most), rounds=ROUNDS)


def _given(values: Mapping[str, Iterator[float]]) -> dict[str, Callable[[], float]]:
    return {name: told.__next__ for name, told in values.items()}
