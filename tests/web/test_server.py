"""The web process as the Procfile starts it: `python -m web`."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from local.ports import HOST
from local.standin.client import Standin
from prices.errors import SettingsError
from prices.runtime.settings import ROOT, ServerSettings
from tests.support.ports import free_port
from tests.support.site import Site
from tests.web.wire import kill_group

pytestmark = pytest.mark.process


@contextmanager
def web(folder: Path, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """A web process over an empty catalogue: itself, its port, and what it writes."""
    port, log = free_port(), folder / "web.log"
    site = Site(folder, Standin.attach("http://127.0.0.1:1"))
    settings = {"HOST": HOST, "PORT": str(port), "WEB_CONCURRENCY": "1", "LOG_FORMAT": "json"}
    with site, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "web"],
            cwd=ROOT,
            env={**os.environ, **site.env, **settings, **env},
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process, port, log
        finally:
            kill_group(process)


def status(port: int, path: str) -> int:
    """Ask until somebody answers."""
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finally:
            connection.close()


def test_it_serves_and_ends_in_order_when_told_to(tmp_path: Path) -> None:
    with web(tmp_path) as (process, port, log):
        assert status(port, "/healthz") == 200
        process.terminate()
        assert process.wait(20) == 0
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert not [line for line in lines if "/healthz" in line["event"]]  # no access log, unless asked for


def test_the_access_log_is_in_the_format_of_the_log_and_holds_no_query(tmp_path: Path) -> None:
    with web(tmp_path, WEB_ACCESS_LOG="on") as (process, port, log):
        assert status(port, "/api/v1/prices?q=secret") in (200, 503)
        process.terminate()
        process.wait(20)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    (told,) = [line["event"] for line in lines if line["logger"] == "granian.access"]
    assert told.startswith("GET /api/v1/prices ")
    assert told.endswith(" ms")
    assert "secret" not in log.read_text()


FORGED = "2026-11-25T12:00:00.000000Z [info] Forged [pricebeat]"


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_path_forges_a_line_or_steers_a_terminal(log_format: str, tmp_path: Path) -> None:
    """In the access log and in the line on a request that cannot be answered."""
    breaks = ("%0A", "%0D%0A", "%0B", "%C2%85", "%E2%80%A8", "%1B%5B31m")
    env = {
        "WEB_ACCESS_LOG": "on",
        "LOG_FORMAT": log_format,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
    }
    with web(tmp_path, **env) as (process, port, log):
        for hostile in breaks:
            assert status(port, f"/api/v1/model/a{hostile}{quote(FORGED)}") == 503
        process.terminate()
        assert process.wait(20) == 0
        lines = log.read_text(encoding="utf-8").split("\n")
    assert all(line.isprintable() for line in lines)
    assert sum("Forged" in line for line in lines) == 2 * len(breaks)
    assert not [line for line in lines if line.startswith(FORGED)]


def eventually(port: int, path: str, wanted: int) -> None:
    """Ask until it is answered so; what is loading may say for a moment that it cannot tell yet."""
    deadline = time.monotonic() + 20
    while (told := status(port, path)) != wanted:
        assert time.monotonic() < deadline, f"{path} is answered with {told}"
        time.sleep(0.05)


@pytest.mark.parametrize("redis", ["refuses", "hangs"])
@pytest.mark.parametrize(("database", "ready"), [("answers", 200), ("refuses", 503), ("hangs", 503)])
def test_it_starts_and_tells_the_truth_whatever_is_away(
    redis: str, database: str, ready: int, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0), backlog=64) as hung:
        places = {"refuses": f"{HOST}:{free_port()}", "hangs": f"{HOST}:{hung.getsockname()[1]}"}
        env = {"REDIS_URL": f"redis://{places[redis]}"}
        if database in places:
            env["DATABASE_URL"] = f"postgresql://nobody@{places[database]}/none"
        with web(tmp_path, **env) as (_process, port, _log):
            assert status(port, "/healthz") == 200
            eventually(port, "/readyz", ready)
            eventually(port, "/api/v1/models", ready)
            assert status(port, "/healthz") == 200


def test_a_dead_worker_is_replaced(tmp_path: Path) -> None:
    with web(tmp_path) as (process, port, _log):
        assert status(port, "/healthz") == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        (worker,) = children.read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        assert status(port, "/healthz") == 200
        assert children.read_text().split() != [worker]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", "8000.0"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "two"),
        ("WEB_ACCESS_LOG", "yes"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} must be .*, not '{text}'"):
        ServerSettings.from_env({variable: text})


def test_without_settings_it_serves_the_world_on_port_8000_with_a_worker_a_core() -> None:
    settings = ServerSettings.from_env({"PORT": " ", "WEB_CONCURRENCY": ""})
    assert (settings.host, settings.port, settings.access_log) == ("0.0.0.0", 8000, False)
    assert settings.workers == os.cpu_count()


def ended(**env: str) -> str:
    """What a web process says that ends at once, with exit status 2."""
    done = subprocess.run(
        [sys.executable, "-m", "web"],
        cwd=ROOT,
        env={**os.environ, "HOST": HOST, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("variable", ["PORT", "PRICE_MARKUP"])
def test_a_bad_setting_ends_it_with_one_line(variable: str) -> None:
    assert ended(**{variable: "many"}).startswith(f"web: {variable} must be ")


def test_an_address_that_cannot_be_had_ends_it_with_one_line() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        assert ended(PORT=port) == f"web: HOST {HOST}, PORT {port}: Address already in use"
    for host in ("no.such.host.invalid", "a..b"):
        assert ended(HOST=host) == f"web: HOST {host} is no address"
