"""A real web process over real prices, and requests to it that no HTTP library would send."""

import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.ports import HOST
from prices.settings import ROOT
from tests.support.ports import free_port
from tests.web.site import Site


@dataclass(frozen=True)
class Reply:
    """An answer as it came: its status, its headers by lower-case name, and the bytes behind them."""

    status: int
    headers: dict[str, str]
    body: bytes


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
                [sys.executable, "-m", "web"], cwd=ROOT, env=self._env, stderr=output
            )
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the web process does not get ready"
            time.sleep(0.05)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> str:
        """End the process in order; give what it logged."""
        self._process.terminate()
        assert self._process.wait(20) == 0
        return self.log.read_text()

    def resident_kib(self) -> int:
        """How much memory the worker holds."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        (worker,) = children.split()
        (found,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
        return int(found)

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
            whole = b"".join(iter(lambda: connection.recv(65536), b""))
        top, _, body = whole.partition(b"\r\n\r\n")
        first, *rest = top.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in rest)
        return Reply(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)

    def _is_ready(self) -> bool:
        try:
            return self.send("/readyz").status == 200
        except OSError:
            return False
