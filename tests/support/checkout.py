"""A folder that looks like a checkout, with placeholders for the services, and a run of `make` in it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import redis

from local.ports import answers
from local.process_groups import is_running
from tests.support.ports import free_port

PROJECT = Path(__file__).parents[2]
PROCFILE = """\
release: python -c 'print("migrated")'
web: python service.py web
worker: python service.py worker
beat: python service.py beat & wait
flower: python service.py flower
"""


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Checkout:
    """The folder; `.env` is what a developer's shell would have set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "var"
        for name in ("pids", "ended", "env"):
            (folder / name).mkdir(parents=True)
        (folder / "Procfile").write_text(PROCFILE)
        shutil.copy(Path(__file__).with_name("service.py"), folder)
        foreign = ("MAKE", "MFLAGS", "REDIS_URL", "DATABASE_URL", "PYTHON")
        self.env = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
        self.web_port, self.flower_port = free_port(), free_port()
        self.env |= {
            "PYTHONPATH": str(PROJECT),
            "PORT": str(self.web_port),
            "FLOWER_PORT": str(self.flower_port),
        }

    def write_procfile(self, old: str, new: str) -> None:
        (self.folder / "Procfile").write_text(PROCFILE.replace(old, new))

    def install(self) -> None:
        """Let make find everything installed: the requirements and a virtual environment with its stamps."""
        for file in ("Makefile", *(path.name for path in PROJECT.glob("requirements*.txt"))):
            (self.folder / file).symlink_to(PROJECT / file)
        python = self.folder / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        for stamp in (".made", ".installed-run", ".installed-dev"):
            (self.folder / ".venv" / stamp).touch()

    @staticmethod
    def command(verb: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "local", verb)

    def start(self, *command: str, output: int | None = None) -> "Run":
        return Run(self, command or self.command("run"), output)

    def refused(self, *command: str) -> tuple[int, list[str]]:
        """Run something that is expected to stop by itself; return status and lines."""
        done = subprocess.run(
            command or self.command("run"),
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    def left_running(self) -> list[int]:
        return [int(path.name) for path in (self.folder / "pids").iterdir() if is_running(int(path.name))]

    def env_of(self, name: str) -> dict[str, str]:
        lines = (self.folder / "env" / name).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def redis_port(self) -> int:
        return int((self.state / "redis/port").read_text())

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url((self.state / "redis.url").read_text(), decode_responses=True)

    def is_quiet(self) -> bool:
        """Tell whether no service and no Redis is left."""
        return not self.left_running() and not answers(self.redis_port())


class Run:
    """A started run in a process group of its own, as a terminal gives it; a context manager."""

    def __init__(self, checkout: Checkout, command: tuple[str, ...], output: int | None) -> None:
        self.output = checkout.folder / "output"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                cwd=checkout.folder,
                env=checkout.env,
                stdin=subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=subprocess.STDOUT,
                process_group=0,
                # A shell without a terminal starts what it puts in the background deaf to interrupts.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_until_up(self) -> Self:
        wait_until(lambda: "Pricebeat is up." in self.text or self.process.poll() is not None)
        assert self.process.poll() is None, self.text
        return self

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> int:
        return self.process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # the guardian does the rest
            self.process.wait()
