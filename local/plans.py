"""What `run` and `demo` are made of: where the data goes, and what each process finds in its environment."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from local.ports import HOST, chosen_port, free_port

_MAKES_OWN = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR")
_NOT_IN_A_DEMO = (
    "CELERY_BROKER_URL",
    "DATABASE_URL",
    "OPENROUTER_API_KEY",
    "REDIS_URL",
    "WEBHOOK_SECRET",
    "WEBHOOK_URLS",
)

_VIRTUAL_SECONDS_PER_SECOND = 600
_DEMO_REFRESH_HOURS = 3 / _VIRTUAL_SECONDS_PER_SECOND


@dataclass(frozen=True)
class Helper:
    """A process the Procfile does not know; the others start when its port answers."""

    name: str
    command: str
    port: int


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first process starts. Ports are on the loopback interface."""

    verb: str
    folder: Path
    state: Path
    ports: Mapping[str, int]
    """By process name; each finds its own as PORT."""
    env: Mapping[str, str] = field(repr=False)
    helper: Helper | None = None

    @property
    def database(self) -> str:
        """Name the database, without its password."""
        url = urlsplit(self.env.get("DATABASE_URL") or "")
        if not url.scheme:
            return f"SQLite in {self.state}"
        if url.scheme.startswith("sqlite"):
            return f"SQLite, {url.path[1:]}"
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"

    def env_of(self, process: str) -> dict[str, str]:
        """Return the environment of a process of the Procfile."""
        port = {"PORT": str(self.ports[process])} if process in self.ports else {}
        return {**self.env, **port}


def plan_run(folder: Path, env: Mapping[str, str]) -> Plan:
    """Plan the cluster with the developer's own settings; raises LocalError for a port that is none."""
    return Plan("run", folder, folder / "var", _ports(), _common(env))


def plan_demo(folder: Path, env: Mapping[str, str]) -> Plan:
    """Plan a cluster apart, whose upstream is the stand-in: no network, and nothing outside is touched.

    The stand-in's clock runs so fast that its three hours pass in one refresh period of 18 seconds.
    """
    state = folder / "var" / "demo"
    port = free_port()
    helper = Helper(
        "upstream",
        f"{shlex.quote(sys.executable)} -m local.standin --port {port} --speed {_VIRTUAL_SECONDS_PER_SECOND}",
        port,
    )
    kept = {name: text for name, text in _common(env).items() if name not in _NOT_IN_A_DEMO}
    demo = {
        "DATABASE_URL": f"sqlite:///{state / 'pricebeat.sqlite3'}",
        "OPENROUTER_BASE_URL": f"http://{HOST}:{port}/api/v1",
        "PRICE_REFRESH_HOURS": str(_DEMO_REFRESH_HOURS),
    }
    return Plan("demo", folder, state, _ports(), {**kept, **demo}, helper)


def _ports() -> dict[str, int]:
    return {"web": chosen_port("PORT", 8000), "flower": chosen_port("FLOWER_PORT", 5555)}


def _common(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment every process gets, with the programs of this virtual environment first."""
    kept = {name: text for name, text in env.items() if name not in (*_MAKES_OWN, "PORT")}
    programs = Path(sys.executable).parent
    path = f"{programs}:{env['PATH']}" if env.get("PATH") else str(programs)
    return {**kept, "PATH": path, "HOST": HOST, "PYTHONUNBUFFERED": "1"}
