"""pytest-celery's nodes over local processes: each looks like a Docker container and is a process group.

A guardian process ends every group that is left when pytest goes away, however it went.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import pytest
from pytest_celery import CeleryTestContainer, CeleryWorkerContainer, RedisContainer

from local.guardian import Guardian
from local.process_groups import group_is_running
from local.redis_server import RedisServer
from tests.support.ports import free_port

TAIL_LINES = 25
T = TypeVar("T")


class Speaks(Protocol):
    """Something with a name and a log, to be shown when a wait fails."""

    name: str

    def logs(self) -> bytes: ...


def wait_until(condition: Callable[[], T], what: str, *, within: float, shown: Iterable[Speaks] = ()) -> T:
    """Return the condition's first true answer; fail with the ends of the logs when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"waited {within:g} s in vain: {what}\n{tails(shown)}")
        time.sleep(0.05)


def tails(shown: Iterable[Speaks]) -> str:
    """The last lines that processes have written."""
    parts = []
    for process in shown:
        lines = process.logs().decode(errors="replace").splitlines()[-TAIL_LINES:]
        parts.append("\n".join([f"--- {process.name}", *lines]))
    return "\n".join(parts)


class LocalProcess:
    """One process and its children, with the part of docker-py's container interface that is asked for."""

    def __init__(
        self,
        guardian: Guardian,
        name: str,
        command: str,
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        port: int = 0,
    ) -> None:
        self.id = self.name = name
        self.port = port
        self._guardian, self._command, self._env, self._cwd, self._log = guardian, command, env, cwd, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, with a new log."""
        with self._log.open("wb") as log:
            self._process = self._guardian.spawn(
                ["/bin/sh", "-c", self._command], output=log, cwd=self._cwd, env=self._env
            )

    @property
    def pid(self) -> int:
        """The process's number, which is its group's."""
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> str:
        """ "created", "running" or "exited"."""
        if self._process is None:
            return "created"
        return "running" if self._process.poll() is None else "exited"

    @property
    def exit_status(self) -> int | None:
        """What the process ended with; None while it runs."""
        return self._process and self._process.poll()

    @property
    def is_gone(self) -> bool:
        """Whether nothing of the group runs any more."""
        gone = self.status != "running" and not (self._process and group_is_running(self._process.pid))
        if gone and self._process:
            self._guardian.forget(self.pid)  # the number may soon be another's
        return gone

    @property
    def attrs(self) -> dict[str, Any]:
        """What docker-py tells of a container."""
        return {
            "Config": {"Hostname": self.id, "Env": [f"{key}={text}" for key, text in self._env.items()]},
            "HostConfig": {"PortBindings": {}},
            "NetworkSettings": {"Networks": {}, "Ports": {}},
        }

    def logs(self) -> bytes:
        """What the process has written since its last start."""
        return self._log.read_bytes() if self._log.exists() else b""

    def reload(self) -> None:
        """Nothing is cached."""

    def kill(self, signal: str | int | None = None) -> None:
        """Send a signal, SIGKILL unless given: TERM to the leader as a platform does, others to all."""
        number = _signal_number(signal)
        send = os.kill if number == _TERM else os.killpg
        with suppress(ProcessLookupError):
            send(self.pid, number)
        if number == _KILL and self._process is not None:
            self._process.wait(10)
            wait_until(lambda: self.is_gone, f"{self.name} and its children end after KILL", within=10)

    def restart(self, timeout: float = 10) -> None:
        """End the process, by force if it takes longer than `timeout` seconds, and start it again."""
        self.kill("SIGTERM")
        deadline = time.monotonic() + timeout
        while not self.is_gone and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()
        self.start()


_TERM, _KILL = signal.SIGTERM, signal.SIGKILL


def _signal_number(given: str | int | None) -> int:
    if given is None:
        return _KILL
    return signal.Signals[given] if isinstance(given, str) else given


class LocalRedis:
    """A Redis server as a container-like object; its port and password last over restarts."""

    def __init__(self, guardian: Guardian, folder: Path, *, persistent: bool) -> None:
        def spawn(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
            return guardian.spawn(command, last=True, output=output)

        self.id = self.name = "redis"
        self._guardian = guardian
        self.server = RedisServer(folder, port=free_port(), persistent=persistent, spawn=spawn)

    def start(self) -> None:
        """Start the server, on the port it had before."""
        self.server.start()

    @property
    def status(self) -> str:
        """ "running" or "exited"."""
        process = self.server.process
        return "running" if process is not None and process.poll() is None else "exited"

    @property
    def attrs(self) -> dict[str, Any]:
        """What docker-py tells of a container."""
        return {
            "Config": {"Hostname": self.id, "Env": []},
            "HostConfig": {"PortBindings": {}},
            "NetworkSettings": {"Networks": {}, "Ports": {}},
        }

    def logs(self) -> bytes:
        """What the server has written since its last start."""
        return (self.server.directory / "redis.log").read_bytes()

    def reload(self) -> None:
        """Nothing is cached."""

    def kill(self, signal: str | int | None = None) -> None:
        """Send a signal, SIGKILL unless given."""
        process, number = self.server.process, _signal_number(signal)
        if process is None:
            return
        if number == _KILL:
            self.server.kill()
            self._guardian.forget(process.pid)
        else:
            process.send_signal(number)

    def restart(self, timeout: float = 10) -> None:  # noqa: ARG002 - docker-py's interface
        """End the server in order and start it again."""
        self.server.stop()
        self.start()


class RedisNode(RedisContainer):
    """The broker and the result store."""

    @property
    def server(self) -> RedisServer:
        """The server itself."""
        return self._container.server

    @property
    def url(self) -> str:
        """The address with its password."""
        return self.server.url

    @property
    def host_url(self) -> str:
        """The same: everything is on this host."""
        return self.server.url

    @property
    def port(self) -> int:
        """The port on loopback."""
        return self.server.port


class ProcessNode(CeleryTestContainer):
    """A process of ours: what its node has beside pytest-celery's interface."""

    _container: LocalProcess

    @property
    def process(self) -> LocalProcess:
        """The process under the node."""
        return self._container

    def teardown(self) -> None:
        """End the process and its children at once."""
        if self.status != "created":
            self.kill()


class WorkerNode(ProcessNode, CeleryWorkerContainer):
    """A worker, started by the Procfile's line; ready when it has said so."""

    @classmethod
    def worker_name(cls) -> str:
        """The first part of the node's name."""
        return "worker"

    @property
    def node_name(self) -> str:
        """What Celery calls it."""
        return f"{self.worker_name()}@{self.id}"

    @property
    def ready_prompt(self) -> str:
        """What a worker says when it takes tasks."""
        return f"{self.node_name} ready."


class BeatNode(ProcessNode):
    """A beat."""

    @property
    def ready_prompt(self) -> str:
        """What a beat says when it begins."""
        return "beat: Starting..."


class HttpNode(ProcessNode):
    """A process that answers HTTP on a port of its own."""

    @property
    def port(self) -> int:
        """The port on loopback."""
        return self.process.port
