"""The fault matrix as a page: made from what the cluster's tests recorded while they ran.

python -m tests.system.cluster.matrix REPORT.xml... [--mutants MUTANTS.json]

Each report is pytest's --junitxml of one run of tests/system/cluster. A row shows the worst run.
"""

import argparse
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree

from prices.runtime.settings import ROOT

PAGE = ROOT / "docs" / "fault-matrix.md"
ABOUT = """# Fault matrix

Made by `make faults`: real workers, beats, Redis, {engines}, each fault done to a running cluster. A row is
a test of `tests/system/cluster`; it asserts the requests that came upstream, the runs and their outcomes, the
revision, the history and the published snapshot. *Within* is the longest time to recovery that was seen;
*requests* is how many upstream answered whole. The lease is 60 s in production and {lease} here: what
waits for a lease takes that much longer there. So does what waits for a retry: a failed run is tried again
after 5 to 10 s in production, and after a quarter to half a second here.

{machine}. Runs: {runs}.
"""
HEAD = "| fault | database | what happens | within | requests |\n|---|---|---|---:|---:|"
MUTANTS_HEAD = """
## Can the simulation fail?

Each safeguard was taken out of a scratch copy, and {seeds:,} seeds of `tests/system/simulation` ran against
it, and 2,000 where those noticed nothing. The loss of one need not be noticed where others stand behind it.

| taken out | seeds that broke | seeds survived | what stands behind it |
|---|---:|---:|---|"""
BEATS = "Beats come and go"
TESTS_BEGIN, TESTS_END = "<!-- The tests of these rows:\n", "\n-->\n"


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


def read_report(path: Path) -> dict[str, FaultRow]:
    """Give the rows of one run by their tests. Raises ValueError if a test of the run failed."""
    cases = list(ElementTree.parse(path).iter("testcase"))  # noqa: S314 - our own file
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            raise ValueError(f"{path}: {case.get('name')} failed")
    found = ((case, FaultRow.read(case)) for case in cases)
    return {f"{case.get('file')}::{case.get('name')}": row for case, row in found if row}


def write_page(
    reports: Sequence[Mapping[str, FaultRow]], mutants: Mapping[str, Any], lease: str = "2 to 3 s"
) -> str:
    """Give the page: one row for each fault, the worst of all runs and engines.

    Raises ValueError when the reports are not of the same tests.
    """
    tests = reports[0].keys()
    for report in reports:
        if report.keys() != tests:
            raise ValueError(f"not in every report: {', '.join(sorted(report.keys() ^ tests))}")
    groups: dict[str, dict[str, list[FaultRow]]] = defaultdict(lambda: defaultdict(list))
    for row in (row for report in reports for row in report.values()):
        groups[row.group][row.fault].append(row)
    engines = sorted({row.engine for row in reports[0].values()})
    machine = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}"
    parts = [ABOUT.format(engines=" and ".join(engines), lease=lease, machine=machine, runs=len(reports))]
    for group, faults in sorted(groups.items()):
        parts += [f"## {group}\n", HEAD, *(_line(faults[fault]) for fault in sorted(faults)), ""]
    return "\n".join([*parts, *_mutants(mutants), _list_of(tests)])


def _line(rows: list[FaultRow]) -> str:
    engines = ", ".join(sorted({row.engine for row in rows}))
    happens = "; ".join(sorted({row.happens for row in rows}))
    least, most = min(row.requests for row in rows), max(row.requests for row in rows)
    requests = str(most) if least == most else f"{least} to {most}"
    within = max(row.seconds for row in rows)
    return f"| {rows[0].fault} | {engines} | {happens} | {within:.1f} s | {requests} |"


def _mutants(mutants: Mapping[str, Any]) -> Iterable[str]:
    if mutants:
        yield MUTANTS_HEAD.format(seeds=mutants["seeds"])
        for told in mutants["mutants"]:
            yield f"| {told['name']} | {told['broke']:,} | {told['survived']:,} | {told['behind']} |"
        yield ""


def _list_of(tests: Iterable[str]) -> str:
    return TESTS_BEGIN + "\n".join(sorted(tests)) + TESTS_END


def named_tests(page: str) -> set[str]:
    """Say which tests a page was made from: it names them in a comment at its end."""
    return set(page.partition(TESTS_BEGIN)[2].removesuffix(TESTS_END).splitlines())


def main(words: list[str] | None = None, *, page: Path = PAGE) -> int:
    """Write the page; give the exit status."""
    parser = argparse.ArgumentParser(
        description="Write docs/fault-matrix.md from reports of tests/system/cluster."
    )
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--mutants", type=Path)
    asked = parser.parse_args(words)
    mutants = json.loads(asked.mutants.read_text()) if asked.mutants else {}
    try:
        page.write_text(write_page([read_report(path) for path in asked.reports], mutants))
    except ValueError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
