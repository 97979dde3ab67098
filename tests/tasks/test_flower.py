"""Flower as the Procfile starts it: what it asks for, whom it answers, and what it refuses to start with."""

import contextlib
import http.client
import os
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from local.guardian import Guardian
from local.ports import HOST
from local.procfile import read_procfile, without_shell
from prices.runtime.settings import ROOT
from tests.support.ports import free_port
from tests.system.cluster.nodes import wait_until
from tests.tasks.conftest import NOWHERE, Run

pytestmark = pytest.mark.process

CELERY = ("celery", "-A", "tasks", "flower", "--port=0")
PATHS = ("/", "/tasks", "/api/tasks", "/api/workers", "/metrics", "/nothing")
Answer = tuple[int, dict[str, str], bytes]
StartFlower = Callable[..., AbstractContextManager["Flower"]]


class Flower:
    """One running Flower."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.process = port, process

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()

    def answers(self) -> bool:
        try:
            return self.ask("/healthcheck")[0] == 200
        except OSError:
            return False


def basic(login: str) -> str:
    return f"Basic {b64encode(login.encode()).decode()}"


@pytest.fixture
def start_flower(tmp_path: Path, redis_url: str) -> StartFlower:
    """Start Flower by the Procfile's line, in the environment of a platform."""

    @contextlib.contextmanager
    def started(**env: str) -> Iterator[Flower]:
        port = free_port()
        path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        whole = {**os.environ, "PATH": path, **NOWHERE, "REDIS_URL": redis_url, "PORT": str(port), **env}
        command = without_shell(read_procfile(ROOT / "Procfile")["flower"], path=path)
        with contextlib.closing(Guardian()) as guardian, (tmp_path / "flower.log").open("wb") as log:
            process = guardian.spawn(["/bin/sh", "-c", command], output=log, cwd=ROOT, env=whole)
            flower = Flower(port, process)
            wait_until(lambda: process.poll() is not None or flower.answers(), "Flower answers", within=30)
            assert process.poll() is None, (tmp_path / "flower.log").read_text()
            yield flower
            process.terminate()
            process.wait(10)

    return started


@pytest.mark.parametrize("login", ["admin:", ":", "nocolon", ":secret", " : ", "admin:sëcret"])
def test_a_login_that_lets_everybody_in_or_nobody_is_refused_with_one_line(login: str, run: Run) -> None:
    refused = run(*CELERY, env={"FLOWER_BASIC_AUTH": login})
    (line,) = refused.stderr.splitlines()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert line.startswith("flower: FLOWER_BASIC_AUTH ")
    assert "secret" not in line


def test_a_login_of_the_command_line_is_held_to_the_same(run: Run) -> None:
    refused = run(*CELERY, "--basic-auth=admin:")
    (line,) = refused.stderr.splitlines()
    assert (refused.returncode, "FLOWER_BASIC_AUTH" in line) == (1, True)


@pytest.mark.parametrize("host", [{}, {"HOST": "0.0.0.0"}])
def test_without_a_password_flower_shows_what_there_is_to_this_machine_and_to_no_other_site(
    host: dict[str, str], start_flower: StartFlower
) -> None:
    with start_flower(**host) as flower:
        for path in PATHS:
            for name in (f"127.0.0.1:{flower.port}", "localhost", "[::1]:80"):
                status, headers, _body = flower.ask(path, Host=name, Origin="http://evil.example")
                assert status == (404 if path == "/nothing" else 200), (path, name)
                assert not [header for header in headers if header.startswith("access-control")], path
            for name in ("evil.example", f"evil.example:{flower.port}", "127.0.0.1.evil.example", "[::1", ""):
                assert flower.ask(path, Host=name)[0] in (400, 403), (path, name)
        assert flower.ask("/api/tasks", "OPTIONS", Host="evil.example")[0] == 403
        assert flower.ask("/api/task/async-apply/refresh_prices", "POST")[0] == 403
        with socket.socket() as other:  # on Linux every address of 127.0.0.0/8 reaches who listens on all
            assert other.connect_ex(("127.0.0.2", flower.port)) != 0


def test_a_password_may_hold_commas_and_a_wrong_one_is_refused_whatever_it_holds(
    start_flower: StartFlower,
) -> None:
    login = "admin:one,two:three"
    with start_flower(FLOWER_BASIC_AUTH=login, HOST=HOST) as flower:
        for path in PATHS[:-1]:
            assert flower.ask(path)[0] == 401, path
            assert flower.ask(path, Host="prices.example", Authorization=basic(login))[0] == 200, path
        for wrong in ("admin:one", "two:three", "admin:", ":", "admin:öne", "", "x"):
            assert flower.ask("/api/tasks", Authorization=basic(wrong))[0] == 401, wrong
        for broken in ("Basic", "Basic \xff", "Basic !", f"Digest {basic(login)[6:]}", "Basic /w=="):
            assert flower.ask("/api/tasks", Authorization=broken)[0] == 401, broken
