"""The product's own processes by the Procfile's lines, over a Redis and a database made for a measurement."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from local.guardian import Guardian
from local.ports import HOST, free_port
from local.procfile import read_procfile, without_shell
from local.redis_server import RedisServer
from prices.runtime.settings import ROOT

START_SECONDS: Final = 60.0


class Started:
    """One process, which leads a group of its own, and what it has written."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def has_said(self, text: str) -> bool:
        """Whether it has written a text."""
        return text in self._log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until it has written a text; raises TimeoutError with what it wrote last instead."""
        wait_until(lambda: self.has_said(text), lambda: self._log.read_text(errors="replace")[-2000:])

    @property
    def pid(self) -> int:
        """The process, which leads a group of the same number."""
        return self._process.pid

    def kill(self) -> None:
        """End it as a crash of its host does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Site:
    """Starts processes in a folder of their own; no upstream is there to be asked."""

    def __init__(self, folder: Path, redis_url: str, guardian: Guardian, **settings: str) -> None:
        self.redis_url = redis_url
        self.env = {
            "REDIS_URL": redis_url,
            "DATABASE_URL": f"sqlite:///{folder}/pricebeat.sqlite3",
            "OPENROUTER_BASE_URL": f"http://{HOST}:{free_port()}",
            **settings,
        }
        self._all_env = {
            **os.environ,
            **self.env,
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        }
        self.folder, self._guardian = folder, guardian
        self._commands = read_procfile(ROOT / "Procfile")
        self._count = 0

    def migrate(self) -> None:
        """Run the release step."""
        release = self._start(self._commands["release"])
        if release.wait():
            raise RuntimeError("the release step failed")

    def start(
        self, kind: str, *, app: str = "tasks", more: str = "", command: str | None = None, **settings: str
    ) -> Started:
        """Start the Procfile's process of a kind; `app` replaces the application, `more` is added.

        `command` replaces the whole line, `settings` are variables of this process alone.
        """
        command = command or self._commands[kind].replace("-A tasks", f"-A {app}") + more
        self._count += 1
        log = self.folder / f"{kind}-{self._count}.log"
        with log.open("wb") as output:
            return Started(self._start(command, output, settings), log)

    def _start(
        self,
        command: str,
        output: int | IO[bytes] = subprocess.DEVNULL,
        settings: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        env = {**self._all_env, **(settings or {})}
        shell: Sequence[str] = ["/bin/sh", "-c", without_shell(command, path=env["PATH"])]
        return self._guardian.spawn(shell, output=output, cwd=ROOT, env=env)


@contextlib.contextmanager
def open_site(**settings: str) -> Iterator[Site]:
    """Open a site with an empty Redis; every process of it has ended when it closes, also after a crash."""

    def spawn(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        return guardian.spawn(command, last=True, output=output)

    with (
        tempfile.TemporaryDirectory(prefix="pricebeat-bench-", ignore_cleanup_errors=True) as folder,
        contextlib.closing(Guardian()) as guardian,
        RedisServer(Path(folder), persistent=False, spawn=spawn) as server,
    ):
        yield Site(Path(folder), server.url, guardian, **settings)


def wait_until(condition: Callable[[], object], why_not: Callable[[], str] = str) -> float:
    """Look every few milliseconds until a condition holds; give the seconds. Raises TimeoutError."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > START_SECONDS:
            raise TimeoutError(f"waited {START_SECONDS:g} s in vain: {why_not()}")
        time.sleep(0.005)
    return time.perf_counter() - began
