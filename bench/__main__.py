"""Run every measurement and print one table: `make bench`. Also written to docs/benchmarks.md."""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from bench import claim, failover, history, peers, propagation, queue, refresh, serve, start
from local.redis_server import find_redis_server
from prices.runtime.settings import ROOT

MEASUREMENTS = {
    "claim": claim,
    "queue": queue,
    "failover": failover,
    "history": history,
    "start": start,
    "serve": serve,
    "refresh": refresh,
    "propagation": propagation,
}
PACKAGES = ("redis", "celery", "sqlalchemy", "flask", "granian", "msgspec", *peers.PACKAGES)
HEAD = ("| claim | what | median | ratio | commands |", "|---|---|---:|---:|---:|")
READING = """\
Made by `make bench`: medians of alternating rounds. A ratio is to the first row of its claim in the same
round: of times the smaller is the better, of rates the greater. Commands are those that clients send to
Redis for one act; what a script does there is not counted.
"""


def main(words: Sequence[str]) -> int:
    """Measure what is named, or everything; print it, and write down everything; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure, print one table, and where everything was measured write docs/benchmarks.md.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MEASUREMENTS)}")
    names = parser.parse_args(words).names
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        parser.error(f"there is no measurement {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    about = _about()
    lines = list(HEAD)
    print("\n".join(lines))
    for name in names or MEASUREMENTS:
        for row in MEASUREMENTS[name].measure():
            lines.append(str(row))
            print(row, flush=True)
    if not names:
        how = "\n".join(f"## {name}\n\n{module.__doc__}" for name, module in MEASUREMENTS.items())
        table = "\n".join(lines)
        text = f"# Benchmarks\n\n{READING}\n{about}\n\n{table}\n\n{how}"
        (ROOT / "docs" / "benchmarks.md").write_text(text)
    return 0


def _about() -> str:
    """Say when and on what was measured; the load is what others did just before."""
    version = subprocess.run([find_redis_server(), "--version"], check=True, capture_output=True, text=True)
    server = next(word.removeprefix("v=") for word in version.stdout.split() if word.startswith("v="))
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f} at the start, "
        f"Python {platform.python_version()}, Redis {server}; {versions}"
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
