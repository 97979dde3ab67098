"""`python -m tasks lock`: who holds the refresh lock, and taking it away from one named holder."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

import deploy_migrations
from prices.coordination.lease import Lease, make_token
from prices.runtime.redis_client import LOCK_KEY
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import reading
from prices.store.tables import refresh_runs
from tasks.__main__ import main
from tests.support.ledger import LEASE, started

TOKEN = make_token("w1@host", "task")


@pytest.fixture
def stores(
    tmp_path: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make_services: Callable[..., Services],
) -> Services:
    """The stores that the commands find in their environment."""
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/prices.sqlite3", "REDIS_URL": redis_url}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    # The log's settings belong to the process, and this one is pytest's.
    monkeypatch.setattr("tasks.commands.configure_logs", lambda *_given: None)
    assert deploy_migrations.main([]) == 0
    capsys.readouterr()
    return make_services(Settings.from_env(env))


def hold(services: Services) -> None:
    """Hold the lock in both stores, as a worker does."""
    assert Lease(services.redis, LOCK_KEY, TOKEN, lease=LEASE).take() is None
    started(services.engine, worker="w1@host", token=TOKEN)


def run_row(services: Services) -> tuple[str, str | None, str | None]:
    with reading(services.engine) as connection:
        row = connection.execute(select(refresh_runs)).one()
    return row.state, row.outcome, row.reason


def test_a_free_lock_is_shown_as_free(stores: Services, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "show"]) == 0
    assert capsys.readouterr().out.split("\n") == ["redis     free", "database  no run", ""]
    assert main(["lock", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["token"] is None


def test_the_holder_is_shown_with_the_token_that_breaking_needs(
    stores: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(stores)
    assert main(["lock", "show"]) == 0
    redis, database = capsys.readouterr().out.splitlines()
    assert redis.startswith(f"redis     {TOKEN}, ")
    assert redis.endswith(" s left")
    assert database.startswith("database  run 1 for 0 s, heartbeat 0 s ago: ")
    assert database.endswith(TOKEN)
    assert main(["lock", "show", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["token"] == told["redis_token"] == told["run_token"] == TOKEN
    assert 0 < told["redis_seconds_left"] <= 60


def test_a_named_holder_loses_the_lock_and_the_row_says_by_whom(
    stores: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(stores)
    assert main(["lock", "break", "--if-holder", TOKEN]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "broken"
    assert stores.redis.get(LOCK_KEY) is None
    state, outcome, reason = run_row(stores)
    assert (state, outcome) == ("finished", "failed")
    assert reason is not None
    assert reason.startswith(f"claim lost: broken by {getpass.getuser()}@")


def test_another_token_breaks_nothing_and_ends_with_3(
    stores: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(stores)
    assert main(["lock", "break", f"--if-holder={make_token('w1@host', 'task')}"]) == 3
    assert capsys.readouterr().out == "nothing was changed: that token holds no lock\n"
    assert stores.redis.get(LOCK_KEY) == TOKEN.encode()
    assert run_row(stores) == ("running", None, None)


def test_a_lock_is_broken_once(stores: Services, capsys: pytest.CaptureFixture[str]) -> None:
    hold(stores)
    breaking = ["lock", "break", "--if-holder", TOKEN, "--json"]
    assert [main(breaking), main(breaking)] == [0, 3]
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert told == [{"broken": True}, {"broken": False}]


@pytest.mark.parametrize("arguments", [["lock"], ["lock", "break"], ["lock", "break", "--force"]])
def test_no_lock_is_broken_without_naming_its_holder(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_without_redis_the_databases_holder_is_shown_and_broken(
    stores: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(stores)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert main(["lock", "show"]) == 0
    assert capsys.readouterr().out.startswith(
        "redis     unknown: Redis failed (ConnectionError): nothing listens"
    )
    assert main(["lock", "break", "--if-holder", TOKEN]) == 0
    assert run_row(stores)[:2] == ("finished", "failed")


@pytest.mark.parametrize("arguments", [["show"], ["break", "--if-holder", "x"]])
def test_without_the_database_it_is_one_line_and_a_failure(
    arguments: list[str],
    stores: Services,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/db")
    assert main(["lock", *arguments]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("tasks: the database failed (OperationalError): nothing listens")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
