"""The release step, on both engines: it migrates once, as a whole, and says what it does in plain lines."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text

import deploy_migrations
from prices.runtime.settings import ROOT, Settings
from prices.store.database import make_engine, reading, writing
from prices.store.queries import require_schema
from prices.store.tables import SCHEMA_HEAD, catalogue, metadata

Told = tuple[int, str, str]

REVISIONS = ("20261125_07",)
MIGRATED = "".join(f"migrating to {revision}\n" for revision in REVISIONS) + f"migrated to {SCHEMA_HEAD}\n"


class Release:
    """The release step for one database, in this process or as one of its own."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.url, self._capsys = url, capsys
        monkeypatch.setenv("DATABASE_URL", url)

    def __call__(self, *arguments: str) -> Told:
        self._capsys.readouterr()
        status = deploy_migrations.main(list(arguments))
        told = self._capsys.readouterr()
        return status, told.out, told.err

    def process(self, *arguments: str, url: str | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(ROOT / "deploy_migrations.py"), *arguments],
            env={**os.environ, "DATABASE_URL": url or self.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def release(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Release:
    return Release(empty_database_url, monkeypatch, capsys)


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    made = make_engine(Settings.from_env({"DATABASE_URL": empty_database_url}).database_url)
    yield made
    made.dispose()


def tables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def set_revision(engine: Engine, revision: str) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": revision})


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, metadata)


def downgrade(engine: Engine, to: str = "base") -> None:
    config = deploy_migrations._config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, to)


def test_the_schema_goes_up_down_and_up_again_and_is_what_the_code_knows(
    release: Release, engine: Engine
) -> None:
    assert release() == (0, MIGRATED, "")
    assert tables(engine) == {*metadata.tables, "alembic_version"}
    assert differences(engine) == []
    with reading(engine) as connection:
        require_schema(connection)
        assert connection.execute(text("SELECT id, fence, revision, envelope FROM catalogue")).all() == [
            (1, 0, 0, "{}")
        ]

    downgrade(engine)
    assert tables(engine) == {"alembic_version"}

    assert release()[0] == 0
    assert differences(engine) == []
    assert release() == (0, "the database is up to date\n", "")


def test_the_head_that_the_code_needs_is_alembics_and_the_history_is_one_line() -> None:
    script = ScriptDirectory.from_config(deploy_migrations._config())
    assert script.get_heads() == [SCHEMA_HEAD]
    assert len(script.get_bases()) == 1
    names = [known.revision for known in script.walk_revisions()]
    assert names == sorted(names, reverse=True)  # `require_schema` compares them as texts
    assert names == [*reversed(REVISIONS)]


def test_a_comparison_finds_what_is_missing(release: Release, engine: Engine) -> None:
    release()
    with writing(engine) as connection:
        connection.execute(text("DROP INDEX ix_refresh_runs_started_at"))
        connection.execute(text("ALTER TABLE revisions DROP COLUMN changes"))
    assert {difference[0] for difference in differences(engine)} == {"add_index", "add_column"}


@pytest.mark.process
def test_releases_at_the_same_time_migrate_once(release: Release, engine: Engine) -> None:
    together = [release.process() for _ in range(3)]
    told = [one.communicate(timeout=60) for one in together]
    assert [one.returncode for one in together] == [0, 0, 0], told
    outs = sorted(out for out, _err in told)
    assert outs == [
        MIGRATED,
        *["the database is up to date\n"] * 2,
    ]
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM catalogue")) == 1


def test_a_migration_that_fails_partway_leaves_nothing(release: Release, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE price_holds (somebody_elses INTEGER)"))
    status, _out, err = release()
    assert status == 1
    assert err.startswith("deploy_migrations: ")
    assert err.count("\n") == 1
    assert tables(engine) == {"price_holds"}


def test_a_migration_may_take_and_pause_for_longer_than_a_refresh_may(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    wait = deploy_migrations._wait_for_lock

    def look_and_wait(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            found.extend(connection.scalar(text(f"SHOW {name}")) for name in names)
            found.append(connection.connection.driver_connection.silence_seconds > 600)  # type: ignore[union-attr]
        else:
            found.append(connection.scalar(text("PRAGMA busy_timeout")))
        wait(connection)

    monkeypatch.setattr(deploy_migrations, "_wait_for_lock", look_and_wait)
    assert release()[0] == 0
    assert found in ([60_000], ["10min", "1min", "10min", True])


def test_a_dry_run_prints_what_is_pending_with_its_sql_and_changes_nothing(
    release: Release, engine: Engine
) -> None:
    status, out, err = release("--dry-run")
    assert (status, err) == (0, "")
    assert out.startswith("".join(f"pending: {revision}\n" for revision in REVISIONS))
    for table in metadata.tables:
        assert f"CREATE TABLE {table}" in out
    if engine.dialect.name == "sqlite":
        assert not Path(engine.url.database or "").exists()
    else:
        assert tables(engine) == set()
        assert "SERIAL" in out


def test_the_sql_of_a_dry_run_makes_the_schema_by_hand(release: Release, engine: Engine) -> None:
    _status, out, _err = release("--dry-run")
    sql = "\n".join(line for line in out.splitlines() if not line.startswith(("pending:", "--")))
    if engine.dialect.name == "sqlite":
        with sqlite3.connect(str(engine.url.database)) as raw:
            raw.executescript(sql)
        raw.close()
    else:
        with engine.begin() as connection:
            connection.exec_driver_sql(sql.replace("BEGIN;", "").replace("COMMIT;", ""))
    assert differences(engine) == []
    assert release() == (0, "the database is up to date\n", "")
    with engine.connect() as connection:
        deployment = connection.scalar(select(catalogue.c.deployment))
    assert re.fullmatch("[0-9a-f]{16}", deployment)
    assert deployment not in out  # each database that the SQL is run on makes its own


def test_a_dry_run_with_nothing_pending_says_so(release: Release) -> None:
    release()
    assert release("--dry-run") == (0, "nothing is pending\n", "")


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["release", "dry run"])
def test_a_newer_revision_than_this_version_knows_is_one_line(
    arguments: tuple[str, ...], release: Release, engine: Engine
) -> None:
    release()
    set_revision(engine, "20990101_01")
    status, out, err = release(*arguments)
    assert (status, out) == (1, "")
    assert (
        err
        == "deploy_migrations: the database is at revision 20990101_01, which this version does not know\n"
    )


def test_a_dry_run_leaves_every_byte_of_a_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "there.sqlite3"
    file.touch()
    release = Release(f"sqlite:///{file}", monkeypatch, capsys)
    assert release("--dry-run")[0] == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"there.sqlite3": b""}


def test_what_a_release_makes_in_var_no_other_user_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    var = tmp_path / "var"
    monkeypatch.setattr(deploy_migrations, "VAR", var)
    assert Release(f"sqlite:///{var}/demo/x.sqlite3", monkeypatch, capsys)()[0] == 0
    made = [var, *var.rglob("*")]
    assert len(made) >= 3
    assert not [path for path in made if path.stat().st_mode & 0o077]


def test_a_dry_run_makes_no_folder_and_a_release_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = Release(f"sqlite:///{tmp_path}/new/folder/x.sqlite3", monkeypatch, capsys)
    assert release("--dry-run")[0] == 0
    assert list(tmp_path.iterdir()) == []
    assert release()[0] == 0
    assert (tmp_path / "new/folder/x.sqlite3").exists()


UNREACHABLE = {
    "a port that refuses": "postgres://u:hunter2@127.0.0.1:1/db",
    "a folder that cannot be made": "sqlite:////proc/nowhere/x.sqlite3",
    "another kind of database": "mysql://u:hunter2@h/db",
    "a port that is no number": "postgres://u:hunter2@127.0.0.1:port/db",
    "an option that nobody knows": "postgres://u:hunter2@127.0.0.1:1/db?colour=blue",
}


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["release", "dry run"])
@pytest.mark.parametrize("what", UNREACHABLE)
def test_a_database_that_cannot_be_used_is_one_line_and_status_1(
    what: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if arguments and what == "a folder that cannot be made":
        assert Release(UNREACHABLE[what], monkeypatch, capsys)(*arguments)[0] == 0  # it makes none
        return
    status, out, err = Release(UNREACHABLE[what], monkeypatch, capsys)(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith("deploy_migrations: ")
    assert err.count("\n") == 1
    assert "hunter2" not in err


def test_wrong_usage_is_status_2() -> None:
    with pytest.raises(SystemExit) as ended:
        deploy_migrations.main(["--nonsense"])
    assert ended.value.code == 2
