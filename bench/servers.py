"""The servers that are measured: started, asked, and weighed."""

import contextlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from bench.processes import Site, Started, wait_until
from local.ports import HOST, answers, free_port

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


def start(site: Site, command: str | None, path: str | None = None, **settings: str) -> Server:
    """Start a server by the Procfile's line or another, and wait until it answers."""
    port = free_port()
    process = site.start("web", command=command, PORT=str(port), HOST=HOST, **settings)
    server = Server(process, port, path)
    wait_until(lambda: answers(port))
    wait_until(lambda: _answers_well(server))
    return server


def _answers_well(server: Server) -> bool:
    with contextlib.suppress(OSError, AssertionError):
        get(server.port, server.path or "/api/v1/models")
        return True
    return False


def nginx(site: Site, body: bytes) -> Iterator[tuple[str, Server]]:
    """Start nginx with a packed body in a file; nothing, and one line that says so, where it is missing."""
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


def litellm(site: Site) -> Iterator[tuple[str, Server]]:
    """Start LiteLLM's proxy, where there is one."""
    folder = os.environ.get("BENCH_LITELLM")
    if folder is None:
        print("BENCH_LITELLM names no environment with litellm[proxy], its rows are missing", file=sys.stderr)
        return
    without_stores = "env -u DATABASE_URL -u REDIS_URL"
    command = f"{without_stores} {folder}/litellm --host $HOST --port $PORT --num_workers 2"
    settings = {"LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(16)}", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    yield LITELLM, start(site, command, "/public/litellm_model_cost_map", **settings)


def get(port: int, path: str) -> tuple[bytes, str]:
    """Ask for a path with gzip; give the body and its validator."""
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path} is answered with {answer.status}"
        return body, answer.headers.get("ETag", "")
    finally:
        connection.close()


def memory_of(server: Server) -> Callable[[], float]:
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
