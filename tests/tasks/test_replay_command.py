"""`python -m tasks replay`: a folder of bodies becomes history, also where it was killed on the way."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from prices.catalogue.changes import ChangeKind
from prices.coordination.lease import Lease, make_token
from prices.history import read
from prices.history.read import RecordedChange
from prices.refresh.replay import captures_in, replay
from prices.runtime.redis_client import LOCK_KEY
from prices.runtime.settings import ROOT, Settings
from prices.services import Services
from prices.store.database import reading
from prices.store.tables import refresh_runs
from tests.support.captures import TIMES, made_up
from tests.support.lists import body, model
from tests.tasks.conftest import NOWHERE, TASKS, Run, json_of

pytestmark = pytest.mark.process


@pytest.fixture
def offline(database_url: str, redis_url: str) -> dict[str, str]:
    """The real stores, and no upstream: a replay asks for none."""
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "PRICE_LOCK_LEASE": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four bodies, small ones."""
    (tmp_path / "bodies").mkdir()
    for number, prompt in enumerate(("1", "2", "0", "2"), 1):
        (tmp_path / "bodies" / f"2026-01-0{number}T0000Z.json").write_bytes(body(model("a/one", prompt, "1")))
    return tmp_path / "bodies"


def test_a_folder_is_replayed_and_known_the_second_time(
    folder: Path, offline: dict[str, str], run: Run
) -> None:
    first = run(*TASKS, "replay", str(folder), "--twice", "--json", env=offline)
    assert first.returncode == 0, first.stderr
    assert json_of(first) == {"fed": 8, "known": 0, "failed": 0, "changes": 4, "revision": 5}

    again = run(*TASKS, "replay", str(folder), "--twice", env=offline)
    assert again.returncode == 0
    assert again.stdout == "replayed 0 bodies with 0 changes, 8 were known; revision 5\n"


def test_without_twice_what_is_odd_for_one_body_leaves_no_change(
    folder: Path, offline: dict[str, str], run: Run
) -> None:
    done = run(*TASKS, "replay", str(folder), env=offline)
    assert done.stdout == "replayed 4 bodies with 2 changes, 0 were known; revision 4\n"


def test_a_replay_with_a_body_that_is_no_price_list_ends_with_1(
    folder: Path, offline: dict[str, str], run: Run
) -> None:
    (folder / "2026-01-02T1200Z.json").write_bytes(b"<html>")
    done = run(*TASKS, "replay", str(folder), env=offline)
    assert (done.returncode, "1 were no price list" in done.stdout) == (1, True)
    assert "Traceback" not in done.stderr


def test_a_folder_without_bodies_is_one_line_and_status_1(
    tmp_path: Path, offline: dict[str, str], run: Run
) -> None:
    done = run(*TASKS, "replay", str(tmp_path), env=offline)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"tasks: {tmp_path} holds no file named like 2026-08-06T1244Z.json or .json.gz\n"


def test_while_another_refreshes_a_replay_ends_with_1_and_names_it(
    folder: Path, offline: dict[str, str], run: Run, services: Services
) -> None:
    other = make_token("worker@elsewhere", "task")
    assert Lease(services.redis, LOCK_KEY, other, lease=services.settings.lock_lease).take() is None
    done = run(*TASKS, "replay", str(folder), env=offline)
    assert done.returncode == 1
    assert "worker@elsewhere is refreshing" in done.stderr


def committed(services: Services) -> int:
    row = refresh_runs.c
    with reading(services.engine) as connection:
        query = select(func.count()).select_from(refresh_runs).where(row.outcome == "refreshed")
        return connection.scalar(query) or 0


def wait_for_commits(services: Services, count: int) -> None:
    deadline = time.monotonic() + 30
    while committed(services) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def feed_of(services: Services) -> list[RecordedChange]:
    with reading(services.engine) as connection:
        return read.changes(connection, since=0, limit=100_000, kinds=frozenset(ChangeKind))


@pytest.fixture
def elsewhere(
    tmp_path: Path, database_url: str, settings: Settings, make_services: Callable[[Settings], Services]
) -> Services:
    """The same with another database, empty too."""
    copy = shutil.copy(database_url.removeprefix("sqlite:///"), tmp_path / "elsewhere.sqlite3")
    return make_services(replace(settings, database_url=f"sqlite:///{copy}"))


def test_a_replay_that_was_killed_goes_on_and_comes_to_the_same_history(
    tmp_path: Path, offline: dict[str, str], run: Run, services: Services, elsewhere: Services
) -> None:
    times = TIMES[:9]
    (tmp_path / "made-up").mkdir()
    bodies = made_up(tmp_path / "made-up", times, 40)
    command = [*TASKS, "replay", str(bodies), "--twice"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **NOWHERE, **offline}, stderr=subprocess.DEVNULL
    ) as killed:
        wait_for_commits(services, 5)
        killed.kill()
    assert killed.returncode == -9
    assert 5 <= committed(services) < 2 * len(times)

    deadline = time.monotonic() + 30
    while (done := run(*command, env=offline)).returncode == 1 and "is refreshing" in done.stderr:
        assert time.monotonic() < deadline  # the claim of the dead lasts for its lease

    assert done.returncode == 0, done.stderr
    assert committed(services) == 2 * len(times)
    replay(elsewhere, captures_in(bodies), worker="test", twice=True)
    assert feed_of(services) == feed_of(elsewhere)
