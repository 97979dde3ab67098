"""The stand-in as tests and benchmarks hold it: started, commanded, asked what it saw, stopped."""

import json
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[2]
_READY = "listening on "
# A noon at which every odd model is listed at its usual price.
NOON = "2026-08-06T12:00:00Z"


class Standin:
    """A stand-in process on a free port, its time standing still at `start` unless told otherwise.

    Use it as a context manager, or `attach` to one that runs already.
    """

    def __init__(
        self,
        *,
        models: int = 420,
        replay: Path | None = None,
        start: str = NOON,
        speed: float = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._options = [f"--host={host}", f"--models={models}", f"--start={start}", f"--speed={speed}"]
        self._options += [f"--replay={replay.resolve()}"] if replay else []
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""

    @classmethod
    def attach(cls, base_url: str) -> Self:
        """The stand-in that listens at `base_url`; leaving it does not stop it."""
        standin = cls()
        standin.base_url = base_url
        return standin

    def __enter__(self) -> Self:
        if not self.base_url:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError when this object has started none."""
        if self._process is None:
            raise RuntimeError("no stand-in has been started here")
        return self._process.pid

    def start(self, timeout: float = 60) -> None:
        """Starts the process and waits until it listens; after a stop on the same port as before."""
        module = [sys.executable, "-m", "local.standin", "--until-eof", f"--port={self._port}"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*module, *self._options], cwd=_ROOT, stdin=pipe, stdout=pipe, text=True
        )
        out = self._process.stdout
        with DefaultSelector() as selector:
            selector.register(out, EVENT_READ)  # type: ignore[arg-type]  # a PIPE was asked for
            line = out.readline() if out and selector.select(timeout) else ""
        if not line.startswith(_READY):
            self.stop()
            raise RuntimeError(f"the stand-in did not start: {line!r}")
        self.base_url = line.removeprefix(_READY).strip()
        self._port = urlsplit(self.base_url).port or 0

    def stop(self) -> None:
        """Kills the process, if this object started one; clients see their connections break."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def control(self, path: str, payload: Any = None, *, method: str = "POST") -> dict[str, Any]:
        """Sends a command (`control.py` lists them) and returns its answer. Raises ValueError."""
        url = urlsplit(self.base_url)
        connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
        try:
            connection.request(method, f"/_control/{path}", None if payload is None else json.dumps(payload))
            response = connection.getresponse()
            told: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(told["error"]["message"])
        return told

    def answer(self, *turns: dict[str, Any], **only: Any) -> None:
        """Plans one answer, or several in turn: `answer(status=500, times=2)`."""
        self.control("answer", [*turns, *([only] if only else [])])

    def clear(self) -> None:
        """Ordinary answers again."""
        self.control("clear")

    def release(self) -> int:
        """Lets held requests go on; returns how many were held."""
        return int(self.control("release")["released"])

    def time(self, **change: Any) -> dict[str, Any]:
        """The virtual time after a change: `now="2026-08-06T15:00Z"`, `advance=10800`, `speed=3600`."""
        return self.control("time", change) if change else self.control("time", method="GET")

    def requests(self) -> dict[str, Any]:
        """What was asked so far: `received`, `completed`, `held`, `log`."""
        return self.control("requests", method="GET")

    def forget(self) -> None:
        """Counts requests anew."""
        self.control("requests", method="DELETE")

    def wait_for(self, timeout: float = 10, **at_least: int) -> dict[str, Any]:
        """Waits until counts are reached, as in `wait_for(held=1)`. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self.requests()
            if all(seen[name] >= count for name, count in at_least.items()):
                return seen
            if time.monotonic() > deadline:
                counts = {name: seen[name] for name in at_least}
                raise TimeoutError(f"waited for {at_least}, saw {counts}")
            time.sleep(0.02)
