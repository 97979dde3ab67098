"""What one machine serves: requests a second, and how long the slowest hundredth waits, asked by wrk.

Each server has two workers, ours and its floors the same granian with the same threads. The list is that of
421 models, packed with gzip. The bare WSGI callable and bare Flask answer everything with constant bytes;
nginx sends the same bytes from a file. Memory is what all processes of a server have resident, shared pages
divided among those who share them (PSS). nginx and LiteLLM's proxy are measured where they are installed,
LiteLLM in an environment of its own whose `bin` folder BENCH_LITELLM names; it answers with its own list.
"""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from bench.floors import BODY
from bench.processes import Site, Started, open_site, wait_until
from bench.rounds import Row, alternate
from local.ports import HOST, answers, free_port
from prices.refresh import refresh_prices
from prices.services import Services
from prices.settings import Settings
from tests.openrouter_standin.client import Standin
from web.server import THREADS

ROUNDS: Final = 5
SECONDS: Final = 2
CONNECTIONS: Final = 16
GRANIAN: Final = (
    f"granian --interface wsgi --factory --no-ws --workers 2 --blocking-threads {THREADS}"
    " --host $HOST --port $PORT bench.floors:"
)
BARE_WSGI, BARE_FLASK, OURS = "bare WSGI", "bare Flask", "ours"
NGINX, LITELLM = "nginx, a file", "LiteLLM's proxy"
NGINX_CONF: Final = """\
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; types {{ }} default_type application/json; gzip_static always;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen {host}:{port}; root {folder}/files; }} }}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, and the path that it is asked for in the place of ours."""

    process: Started
    port: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured: requests a second, and the µs within which half, and 99 in 100, were served."""

    rate: float
    half: float
    most: float


def measure() -> Iterator[Row]:
    """Measure with a list of 421 models."""
    if shutil.which("wrk") is None:
        raise FileNotFoundError("wrk is missing, which asks the servers; Debian: apt-get install wrk")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Standin(models=421))
        site = stack.enter_context(open_site(OPENROUTER_BASE_URL=upstream.base_url))
        site.migrate()
        refresh_prices(Services.make(Settings.from_env(site.env)), worker="bench")
        yield from _measured(site)


def _measured(site: Site) -> Iterator[Row]:
    ours = _start(site, None, WEB_CONCURRENCY="2")
    body, _tag = _get(ours.port, "/api/v1/models")
    model = json.loads(gzip.decompress(body))["data"][7]["id"]
    file = site.folder / "constant.gz"
    file.write_bytes(body)
    servers = {
        BARE_WSGI: _start(site, f"{GRANIAN}bare_wsgi", **{BODY: str(file)}),
        BARE_FLASK: _start(site, f"{GRANIAN}bare_flask", **{BODY: str(file)}),
        OURS: ours,
    }
    floors = {name: servers[name] for name in (BARE_WSGI, OURS, BARE_FLASK)}
    peers = dict(_nginx(site, body)) | dict(_litellm(site))
    yield from _asked("the list", floors | peers, "/api/v1/models")
    known = floors | {name: peer for name, peer in peers.items() if name == NGINX}
    tags = {name: _get(server.port, "/api/v1/models")[1] for name, server in known.items()}
    yield from _asked("the list, known already (304)", known, "/api/v1/models", tags)
    small = {name: servers[name] for name in (BARE_FLASK, OURS)}
    yield from _asked("a search", small, "/api/v1/prices?q=claude")
    yield from _asked("one model", small, f"/api/v1/prices/{model}")
    memory = {name: _memory(server) for name, server in (floors | peers).items()}
    yield from alternate("memory of a server", "MiB", memory, rounds=1)


def _start(site: Site, command: str | None, path: str | None = None, **settings: str) -> Server:
    port = free_port()
    process = site.start("web", command=command, PORT=str(port), HOST=HOST, **settings)
    server = Server(process, port, path)
    wait_until(lambda: answers(port))
    wait_until(lambda: _answers_well(server))
    return server


def _answers_well(server: Server) -> bool:
    with contextlib.suppress(OSError, AssertionError):
        _get(server.port, server.path or "/api/v1/models")
        return True
    return False


def _nginx(site: Site, body: bytes) -> Iterator[tuple[str, Server]]:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        print("nginx is missing, its rows too; Debian: apt-get install nginx-light", file=sys.stderr)
        return
    folder, port = site.folder / "nginx", free_port()
    file = folder / "files" / "api" / "v1" / "models.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(body)
    for reached in (folder, *file.parents[:3], file):
        reached.chmod(0o755)
    site.folder.chmod(0o711)  # nginx's workers are nobody
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, host=HOST, port=port))
    process = site.start("web", command=f"{program} -c {folder}/nginx.conf -p {folder}")
    server = Server(process, port)
    wait_until(lambda: _answers_well(server))
    yield NGINX, server


def _litellm(site: Site) -> Iterator[tuple[str, Server]]:
    folder = os.environ.get("BENCH_LITELLM")
    if folder is None:
        print("BENCH_LITELLM names no environment with litellm[proxy], its rows are missing", file=sys.stderr)
        return
    command = f"{folder}/litellm --host $HOST --port $PORT --num_workers 2"
    yield LITELLM, _start(site, command, "/public/litellm_model_cost_map")


def _asked(
    what: str, servers: Mapping[str, Server], path: str, tags: Mapping[str, str] | None = None
) -> Iterator[Row]:
    loads: dict[str, list[Load]] = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            loads[name].append(_load(server, path, (tags or {}).get(name)))
    rate = {name: iter([load.rate for load in told]) for name, told in loads.items()}
    yield from alternate(what, "per second", _given(rate), rounds=ROUNDS)
    half = {name: iter([load.half for load in told]) for name, told in loads.items()}
    yield from alternate(f"{what}, half within", "µs", _given(half), rounds=ROUNDS)
    most = {name: iter([load.most for load in told]) for name, told in loads.items()}
    yield from alternate(f"{what}, 99 % within", "µs", _given(most), rounds=ROUNDS)


def _given(values: Mapping[str, Iterator[float]]) -> dict[str, Callable[[], float]]:
    return {name: told.__next__ for name, told in values.items()}


def _load(server: Server, path: str, tag: str | None) -> Load:
    """Let wrk ask, and see that every answer was one."""
    headers = ["-H", "Accept-Encoding: gzip", *(["-H", f"If-None-Match: {tag}"] if tag else [])]
    url = f"http://{HOST}:{server.port}{server.path or path}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", *headers, url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in told, told
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])
    return Load(rate, _microseconds(told, 50), _microseconds(told, 99))


def _microseconds(told: str, percent: int) -> float:
    number, unit = re.findall(rf"\s{percent}%\s+([\d.]+)(us|ms|s)\b", told)[0]
    return float(number) * {"us": 1, "ms": 1000, "s": 1_000_000}[unit]


def _get(port: int, path: str) -> tuple[bytes, str]:
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path} is answered with {answer.status}"
        return body, answer.headers.get("ETag", "")
    finally:
        connection.close()


def _memory(server: Server) -> Callable[[], float]:
    """Give a measure: the MiB that all processes of a server's group have as their share."""

    def mib() -> float:
        shares = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.getpgid(int(process.name)) == server.process.pid:
                    lines = (process / "smaps_rollup").read_text()
                    shares += re.findall(r"^Pss:\s+(\d+) kB", lines, re.MULTILINE)
        return sum(int(share) for share in shares) / 1024

    return mib
