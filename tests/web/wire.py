"""A real web process over real prices, and requests to it that no HTTP library would send."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.ports import HOST
from prices.runtime.settings import ROOT
from tests.support.ports import free_port
from tests.support.site import Site


@dataclass(frozen=True)
class Reply:
    """An answer as it came: its status, its headers by lower-case name, and the bytes behind them."""

    status: int
    headers: dict[str, str]
    body: bytes


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a web process that leads a session, with its workers, which would outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_reply(connection: socket.socket) -> Reply:
    """Read until the server closes the connection; what it resets after its answer has been read already."""
    whole = bytearray()
    try:
        while piece := connection.recv(65536):
            whole += piece
    except ConnectionResetError:
        assert whole, "the connection was reset without an answer"
    top, _, body = bytes(whole).partition(b"\r\n\r\n")
    first, *rest = top.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in rest)
    return Reply(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:  # it was closed meanwhile
        return ""


class Wire:
    """`python -m web` of one worker for a site, a context manager; its log is in `log`."""

    def __init__(self, site: Site, folder: Path, **env: str) -> None:
        self.port = free_port()
        self.log = folder / "web.log"
        places = {"HOST": HOST, "PORT": str(self.port), "WEB_CONCURRENCY": "1"}
        self._env = {**os.environ, **site.env, **places, **env}

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "web"],
                cwd=ROOT,
                env=self._env,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the web process does not get ready"
            time.sleep(0.05)
        return self

    def __exit__(self, *_exc: object) -> None:
        kill_group(self._process)

    def end(self) -> str:
        """End the process in order; give what it logged."""
        self._process.terminate()
        assert self._process.wait(20) == 0
        return self.log.read_text()

    def resident_kib(self) -> int:
        """How much memory the worker holds."""
        return self._told("VmRSS")

    def threads(self) -> int:
        """How many threads the worker has."""
        return self._told("Threads")

    def sockets(self) -> int:
        """How many sockets the worker has open."""
        files = (self._worker() / "fd").iterdir()
        return sum(_target(file).startswith("socket:") for file in files)

    def _told(self, name: str) -> int:
        (found,) = re.findall(rf"{name}:\s+(\d+)", (self._worker() / "status").read_text())
        return int(found)

    def _worker(self) -> Path:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        (worker,) = children.split()
        return Path("/proc", worker)

    def send(self, target: str | bytes, method: str = "GET", *headers: str, seconds: float = 10) -> Reply:
        """Send one request exactly as written, and read until the server closes."""
        target = target.encode("latin-1") if isinstance(target, str) else target
        lines = (
            ("Host: prices.test", *headers) if not any(h.startswith("Host:") for h in headers) else headers
        )
        head = b"%b %b HTTP/1.1\r\n" % (method.encode("latin-1"), target)
        head += "".join(f"{line}\r\n" for line in (*lines, "Connection: close")).encode("latin-1")
        with socket.create_connection((HOST, self.port), timeout=seconds) as connection:
            connection.sendall(head + b"\r\n")
            return read_reply(connection)

    def _is_ready(self) -> bool:
        try:
            return self.send("/readyz").status == 200
        except OSError:
            return False
