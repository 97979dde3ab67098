"""The fault matrix as a page: made from what the cluster's tests recorded while they ran.

python -m tests.cluster.matrix REPORT.xml... [--mutants MUTANTS.json]

Each report is pytest's --junitxml of one run of tests/cluster. Several reports make one row: the worst of
them.
"""

import argparse
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree

from prices.settings import ROOT

PAGE = ROOT / "docs" / "fault-matrix.md"
ABOUT = """# Fault matrix

Made by `make faults`: real workers, beats, Redis, {engines}, each fault done to a running cluster. A row is
a test of `tests/cluster`; it asserts the requests that reached upstream, the runs and their outcomes, the
revision, the history and the published snapshot. *Within* is the longest time to recovery that was seen;
*requests* is how many upstream received whole. The lease is 60 s in production and {lease} here: what
waits for a lease takes that much longer there.

{machine}. Runs: {runs}.
"""


@dataclass(frozen=True)
class FaultRow:
    """What a test did to the cluster and what came of it."""

    group: str
    fault: str
    engine: str
    happens: str
    seconds: float
    requests: int

    def properties(self) -> Iterable[tuple[str, Any]]:
        """The row as a test's properties."""
        return asdict(self).items()

    @classmethod
    def read(cls, case: ElementTree.Element) -> Self | None:
        """The row of one test in a report, if it has recorded any."""
        found = {told.get("name"): told.get("value", "") for told in case.iter("property")}
        if "fault" not in found:
            return None
        texts = {field.name: found[field.name] for field in fields(cls)}
        return cls(**texts | {"seconds": float(texts["seconds"]), "requests": int(texts["requests"])})


def read_report(path: Path) -> list[FaultRow]:
    """Give the rows of one run. Raises ValueError if a test of the run failed."""
    cases = list(ElementTree.parse(path).iter("testcase"))  # noqa: S314 - our own file
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            raise ValueError(f"{path}: {case.get('name')} failed")
    return [row for case in cases if (row := FaultRow.read(case))]


def write_page(reports: Iterable[list[FaultRow]], mutants: Mapping[str, Any], lease: str = "2 to 3 s") -> str:
    """Give the page: one row for each fault, the worst of all runs and engines."""
    reports = list(reports)
    seen: dict[tuple[str, str], list[FaultRow]] = defaultdict(list)
    for row in (row for report in reports for row in report):
        seen[row.group, row.fault].append(row)
    engines = sorted({row.engine for rows in seen.values() for row in rows})
    machine = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}"
    lines = [ABOUT.format(engines=" and ".join(engines), lease=lease, machine=machine, runs=len(reports))]
    for group in dict.fromkeys(group for group, _fault in seen):
        lines += [
            f"## {group}\n",
            "| fault | database | what happens | within | requests |",
            "|---|---|---|---:|---:|",
        ]
        lines += [_line(rows) for (of, _fault), rows in seen.items() if of == group]
        lines.append("")
    return "\n".join(lines) + _mutants(mutants)


def _line(rows: list[FaultRow]) -> str:
    engines = ", ".join(sorted({row.engine for row in rows}))
    happens = "; ".join(dict.fromkeys(row.happens for row in rows))
    least, most = min(row.requests for row in rows), max(row.requests for row in rows)
    requests = str(most) if least == most else f"{least} to {most}"
    return (
        f"| {rows[0].fault} | {engines} | {happens} | {max(row.seconds for row in rows):.1f} s | {requests} |"
    )


def _mutants(mutants: Mapping[str, Any]) -> str:
    if not mutants:
        return ""
    lines = [
        "\n## Can the simulation fail?\n",
        f"Each safeguard was taken out of a scratch copy, and {mutants['seeds']:,} seeds of",
        "`tests/simulation` were run against it. A safeguard whose loss no seed noticed would be untested.\n",
        "| taken out | seeds that broke | seeds survived |",
        "|---|---:|---:|",
    ]
    lines += [f"| {told['name']} | {told['broke']:,} | {told['survived']:,} |" for told in mutants["mutants"]]
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> int:
    """Write the page; give the exit status."""
    parser = argparse.ArgumentParser(description="Write docs/fault-matrix.md from reports of tests/cluster.")
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--mutants", type=Path)
    asked = parser.parse_args(words)
    try:
        reports = [read_report(path) for path in asked.reports]
    except ValueError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1
    mutants = json.loads(asked.mutants.read_text()) if asked.mutants else {}
    PAGE.write_text(write_page(reports, mutants))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
