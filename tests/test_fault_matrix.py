"""The page of the fault matrix: what it is made from, what it refuses, and that it is of this suite."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prices.runtime.settings import ROOT
from tests.system.cluster.matrix import PAGE, TESTS_BEGIN, FaultRow, main, named_tests
from tests.system.simulation.mutations import MUTATIONS

pytestmark = pytest.mark.process

KILLED = FaultRow("A process is killed", "stage 1", "sqlite", "another finishes", 2.51, 1)
RECORDING = """
def test_killed(record_property):
    for name, value in {row!r}.items():
        record_property(name, value)
    assert {passes}


def test_that_records_nothing():
    pass
"""
COLLECT = """
import pytest


class Recording:
    def pytest_collection_finish(self, session):
        print(*(item.nodeid for item in session.items if "record" in item.fixturenames), sep="\\n")


pytest.main(["--collect-only", "-qq", "tests/system/cluster"], plugins=[Recording()])
"""


def report(folder: Path, row: FaultRow, *, passes: bool = True, test: str = "test_page") -> Path:
    """Let pytest report on a test that records a row."""
    (folder / f"{test}.py").write_text(RECORDING.format(row=dict(row.properties()), passes=passes))
    path = folder / f"{len(list(folder.glob('*.xml')))}.xml"
    told = ["-o", "junit_family=xunit1", "-p", "no:cacheprovider", f"--junitxml={path}", f"{test}.py"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--rootdir={folder}", *told],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # none is needed, and they load slowly
        check=False,
        capture_output=True,
    )
    return path


def made(folder: Path, *reports: Path) -> str:
    """The page that is made from reports."""
    page = folder / "page.md"
    assert main([str(path) for path in reports], page=page) == 0
    return page.read_text()


def test_a_row_shows_the_worst_of_several_runs_and_every_engine(tmp_path: Path) -> None:
    slow = FaultRow(KILLED.group, KILLED.fault, "postgres", "another finishes", 4.26, 2)

    page = made(tmp_path, report(tmp_path, KILLED), report(tmp_path, slow))

    assert "## A process is killed\n" in page
    assert "| stage 1 | postgres, sqlite | another finishes | 4.3 s | 1 to 2 |" in page
    assert page.count("| stage 1 |") == 1
    assert "Runs: 2." in page


def test_the_page_names_the_tests_that_it_was_made_from(tmp_path: Path) -> None:
    assert named_tests(made(tmp_path, report(tmp_path, KILLED))) == {"test_page.py::test_killed"}


def test_a_report_with_a_failed_test_is_refused_and_the_page_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    good, bad = report(tmp_path, KILLED), report(tmp_path, KILLED, passes=False)

    assert main([str(good), str(bad)], page=page) == 1

    assert capsys.readouterr().err == f"matrix: {bad}: test_killed failed\n"
    assert not page.exists()


def test_reports_of_different_tests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = [report(tmp_path, KILLED), report(tmp_path, KILLED, test="test_other")]
    assert main([str(path) for path in reports], page=tmp_path / "page.md") == 1
    assert "test_other.py::test_killed" in capsys.readouterr().err


def test_what_the_simulation_misses_without_a_safeguard_has_a_table_of_its_own(tmp_path: Path) -> None:
    found = {
        "seeds": 20000,
        "mutants": [{"name": "the fence", "broke": 1234, "survived": 18766, "behind": "the row"}],
    }
    mutants = tmp_path / "mutants.json"
    mutants.write_text(json.dumps(found))
    page = tmp_path / "page.md"
    assert main([str(report(tmp_path, KILLED)), "--mutants", str(mutants)], page=page) == 0
    assert "20,000 seeds" in page.read_text()
    assert "| the fence | 1,234 | 18,766 | the row |" in page.read_text()


@pytest.mark.skipif(not PAGE.exists(), reason="`make faults` has not been run")
def test_the_page_in_the_documents_is_of_exactly_the_rows_that_the_suite_has() -> None:
    told = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert named_tests(PAGE.read_text()) == {line for line in told.stdout.splitlines() if "::" in line}


def test_the_page_in_the_documents_takes_out_each_safeguard_that_the_simulation_names() -> None:
    table = PAGE.read_text().partition("## Can the simulation fail?")[2].partition(TESTS_BEGIN)[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]
    assert rows[1:] == [mutation.name for mutation in MUTATIONS]
