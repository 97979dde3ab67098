"""Run every measurement and print one table: `make bench`. Also written to docs/benchmarks.md."""

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime

from bench import claim
from prices.settings import ROOT

MEASUREMENTS = (claim,)
PACKAGES = ("redis", "celery", "sqlalchemy", "flask", "granian", "msgspec")


def main() -> int:
    """Measure, print, write; give the exit status."""
    lines = ["| claim | what | median µs | ratio |", "|---|---|---:|---:|"]
    print("\n".join(lines))
    for measurement in MEASUREMENTS:
        for row in measurement.measure():
            lines.append(str(row))
            print(row, flush=True)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )
    text = (
        "# Benchmarks\n\nMade by `make bench`. A ratio is to the first row of its claim, in the same run.\n\n"
    )
    (ROOT / "docs" / "benchmarks.md").write_text(f"{text}{about}\n\n" + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
