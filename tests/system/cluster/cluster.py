"""A cluster of local processes over one Redis, one database and one stand-in upstream."""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import pools
from redis.exceptions import RedisError
from sqlalchemy import select, update

from local.guardian import Guardian
from local.ports import HOST
from local.procfile import read_procfile, without_shell
from local.standin.client import Standin
from prices.published.redis_copy import read_stamp
from prices.runtime.settings import ROOT, Settings
from prices.services import Services
from prices.store import queries
from prices.store.database import reading, utc_now, writing
from prices.store.tables import catalogue, refresh_runs
from tests.conftest import OWN_VARIABLES
from tests.support.ports import free_port
from tests.system.cluster.nodes import (
    BeatNode,
    HttpNode,
    LocalProcess,
    LocalRedis,
    ProcessNode,
    RedisNode,
    WorkerNode,
    wait_until,
)

START_SECONDS = 60.0
"""Long, because many processes start at once on a machine with two cores."""
FLOWER_USER = "tester:secret"


@dataclass(frozen=True)
class Answer:
    """What a process answered, and how long that took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(port: int, path: str, *, user: str | None = None, timeout: float = 10) -> Answer:
    """Ask for a path. Raises OSError when nobody answers."""
    headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    began = time.monotonic()
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        return Answer(response.status, dict(response.getheaders()), body, time.monotonic() - began)
    finally:
        connection.close()


def answers(port: int, path: str) -> Answer | None:
    """Ask for a path: None unless it is answered with 200."""
    try:
        answer = get(port, path)
    except (OSError, http.client.HTTPException):
        return None
    return answer if answer.status == 200 else None


class Cluster:
    """Starts and ends processes by the Procfile's lines, and looks at what they did."""

    def __init__(
        self,
        guardian: Guardian,
        folder: Path,
        database_url: str,
        standin: Standin,
        *,
        persistent: bool = False,
        **settings: str,
    ) -> None:
        self._guardian = guardian
        self._folder = folder
        self._lines = read_procfile(ROOT / "Procfile")
        self.standin = standin
        self.redis = RedisNode(LocalRedis(guardian, folder / "redis", persistent=persistent))
        self.redis.server.start()
        self.nodes: dict[str, ProcessNode] = {}
        kept = {name: text for name, text in os.environ.items() if not name.startswith(OWN_VARIABLES)}
        self.env = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "HOST": HOST,
            "DATABASE_URL": database_url,
            "REDIS_URL": self.redis.url,
            "OPENROUTER_BASE_URL": standin.base_url,
            "WEB_CONCURRENCY": "1",
            "WORKER_CONCURRENCY": "2",
            "PRICE_REFRESH_HOURS": "5",  # no part of a day: no tick comes while prices are made stale
            "PRICE_RETRY_MAX": "30",  # seconds; ten minutes in production
            **settings,
        }
        self.services = Services.make(Settings.from_env(self.env))

    # Processes

    def _node(self, cls: type[ProcessNode], kind: str, name: str, more: str = "", **env: str) -> Any:
        environment = {**self.env, **env}
        command = without_shell(self._lines[kind] + more, path=environment["PATH"])
        process = LocalProcess(
            self._guardian,
            name,
            command,
            env=environment,
            cwd=ROOT,
            log=self._folder / f"{name}.log",
            port=int(env.get("PORT", 0)),
        )
        process.start()
        node = self.nodes[name] = cls(process)
        return node

    def start_worker(self, name: str, more: str = "", **env: str) -> WorkerNode:
        """Start a worker by the Procfile's line; several on one host need names of their own."""
        node: WorkerNode = self._node(WorkerNode, "worker", name, f" -n worker@{name}{more}", **env)
        return node

    def start_beat(self, name: str = "beat") -> BeatNode:
        """Start a beat by the Procfile's line."""
        node: BeatNode = self._node(BeatNode, "beat", name)
        return node

    def start_web(self, name: str = "web") -> HttpNode:
        """Start a web process by the Procfile's line, on a free port."""
        node: HttpNode = self._node(HttpNode, "web", name, PORT=str(free_port()))
        return node

    def start_flower(self, name: str = "flower", **env: str) -> HttpNode:
        """Start Flower by the Procfile's line, on a free port and behind a password."""
        own = {"PORT": str(free_port()), "FLOWER_BASIC_AUTH": FLOWER_USER, **env}
        node: HttpNode = self._node(HttpNode, "flower", name, **own)
        return node

    def wait_until_up(self) -> None:
        """Wait until every process that was started does its work."""
        for node in self.nodes.values():
            if isinstance(node, HttpNode):
                self._wait_for_answer(node, "/healthcheck" if node.name == "flower" else "/readyz")
            elif node.ready_prompt:
                self.wait_for_log(node, node.ready_prompt, START_SECONDS)

    def _wait_for_answer(self, node: HttpNode, path: str) -> None:
        self.wait_until(lambda: answers(node.port, path), f"{node.name} answers {path}", START_SECONDS)

    def wait_for_log(self, node: ProcessNode, text: str, within: float = 15) -> None:
        """Wait until a process has written a text since its last start."""
        self.wait_until(lambda: text in node.logs(), f"{node.name} says {text!r}", within)

    def wait_until(self, condition: Any, what: str, within: float = 15) -> Any:
        """Wait for a condition; fail with the ends of all logs."""
        return wait_until(
            condition, what, within=within, shown=[node.process for node in self.nodes.values()]
        )

    def end(self, *nodes: ProcessNode, within: float = 30) -> None:
        """End processes as a platform does, with TERM, and wait until nothing of them runs."""
        for node in nodes:
            node.kill("SIGTERM")
        self.wait_until(
            lambda: all(node.process.is_gone for node in nodes), "all processes end after TERM", within
        )

    def close(self) -> None:
        """End everything at once."""
        with ExitStack() as last:
            last.callback(self.redis.kill)
            last.callback(self.services.engine.dispose)
            last.callback(self.services.redis.close)
            for node in self.nodes.values():
                last.callback(node.teardown)

    # Commands

    def start_command(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        """Start `python -m tasks ...`."""
        return subprocess.Popen(
            [sys.executable, "-m", "tasks", *arguments],
            cwd=ROOT,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, **env: str) -> tuple[int, Any]:
        """Run `python -m tasks ... --json`: its exit status and what it told."""
        return outcome(self.start_command(*arguments, "--json", **env))

    # What is there

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        with reading(self.services.engine) as connection:
            rows = connection.execute(select(refresh_runs).order_by(refresh_runs.c.id)).all()
        return [queries.describe_run(row) for row in rows]

    def last_run(self) -> dict[str, Any]:
        """The run that started last."""
        return self.runs()[-1]

    def make_stale(self, age: float = 0.95) -> None:
        """Make the prices so many intervals old, as time would; the mark in Redis has ended.

        After nine tenths anybody may refresh them, and after the whole beat sends for that.
        """
        with writing(self.services.engine) as connection:
            then = utc_now(connection) - age * self.services.settings.refresh_interval
            connection.execute(update(catalogue).values(refreshed_at=then))
            connection.execute(
                update(refresh_runs).where(refresh_runs.c.finished_at > then).values(started_at=then)
            )
        with contextlib.suppress(RedisError):
            self.services.redis.delete(self.services.keys.fresh)

    def make_stale_under_beat(self) -> None:
        """Make the prices stale where a beat runs, which may have looked before and still call them fresh."""
        self.make_stale()
        redis = self.services.redis
        redis.set(self.services.keys.fresh, "0")
        self.wait_until(
            lambda: redis.get(self.services.keys.fresh) is None, "beat has seen that the prices are stale"
        )

    def published_is_current(self) -> bool:
        """Whether Redis holds what the database says."""
        told = read_stamp(self.services.redis, self.services.keys)
        with reading(self.services.engine) as connection:
            state = queries.catalogue_state(connection)
        return told is not None and told.refreshed_at == state.refreshed_at

    def queued(self) -> int:
        """How many messages wait in the queue."""
        return int(self.services.redis.llen("celery"))  # type: ignore[arg-type]  # not asynchronous

    def health(self, web: HttpNode) -> dict[str, Any]:
        """The web process's report."""
        told: dict[str, Any] = get(web.port, "/health").json
        return told


def claim_began(command: "subprocess.Popen[str]") -> float:
    """Wait until a `run-once` says that it claims; give the time of that (Unix seconds)."""
    assert command.stderr is not None
    assert command.stderr.readline() == "claiming ...\n"
    return time.time()


def outcome(process: "subprocess.Popen[str]", timeout: float = 40) -> tuple[int, Any]:
    """Wait for a command: its exit status and its one JSON object."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the command did not end in {timeout:g} s\n{out}\n{err}") from None
    try:
        return process.returncode, json.loads(out)
    except ValueError:
        raise AssertionError(f"no JSON on stdout: {out!r}\n{err}") from None


def prepare(app: Celery) -> None:
    """Let several threads publish: results are asked for, not subscribed to when a message is sent."""
    app.backend.on_task_call = lambda *_args: None


def close(app: Celery) -> None:
    """Close every connection that an application has open."""
    app.backend.result_consumer.stop()
    app.backend.client.close()
    pools.reset()  # they are kombu's, not the application's
    app.close()


def send(app: Celery, **kwargs: Any) -> Any:
    """Ask for a refresh through the queue."""
    return app.send_task("refresh_prices", kwargs=kwargs)


def states(results: Sequence[Any]) -> set[str]:
    """The states that results are in."""
    return {result.state for result in results}
