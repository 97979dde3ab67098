"""Running the commands as an operator does: as processes, with an environment of their own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.standin.client import Standin
from prices.runtime.settings import ROOT

TASKS = (sys.executable, "-m", "tasks")
Run = Callable[..., "subprocess.CompletedProcess[str]"]
NOWHERE = {
    "DATABASE_URL": "sqlite:////nowhere/pricebeat.sqlite3",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "OPENROUTER_BASE_URL": "http://127.0.0.1:1/api/v1",
}
"""Addresses at which nothing answers, so that no command finds the developer's own stores."""


@pytest.fixture
def empty_database_url(tmp_path: Path) -> str:
    """A database without tables; a command does not care which engine it is on."""
    return f"sqlite:///{tmp_path}/empty.sqlite3"


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated one."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'pricebeat.sqlite3')}"


@pytest.fixture
def run() -> Run:
    """Run a command of the project: its output, its one line of complaint and its exit status."""

    def ran(*command: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        programs = Path(sys.executable).parent
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **NOWHERE, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    return ran


@pytest.fixture
def env(database_url: str, redis_url: str, standin: Standin) -> dict[str, str]:
    """The real stores and the stand-in."""
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "OPENROUTER_BASE_URL": standin.base_url}


def json_of(done: "subprocess.CompletedProcess[str]") -> Any:
    """The one JSON object on stdout, when nothing else is there."""
    assert len(done.stdout.splitlines()) == 1, done.stdout
    return json.loads(done.stdout)
