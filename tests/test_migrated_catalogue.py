"""The next release migrates, by a migration made here, while this one runs on beside it."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect, select

import deploy_migrations
from prices.history import read
from prices.runtime.settings import ROOT, Settings
from prices.store.database import make_engine, reading, writing
from prices.store.queries import catalogue_state, require_schema
from prices.store.tables import SCHEMA_HEAD, language_models
from tests.support.ledger import fill
from tests.support.lists import model

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision = "20990101_01"
down_revision = "{SCHEMA_HEAD}"
branch_labels = depends_on = None


def upgrade():
    op.add_column("language_models", sa.Column("note", sa.Text))
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("notes")
    op.drop_column("language_models", "note")
"""


@pytest.fixture
def engine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database of this release, which has a price."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    made = make_engine(Settings.from_env({"DATABASE_URL": database_url}).database_url)
    assert fill(made, model("a/one", prompt="1"), at=NOON).revision == 1
    yield made
    made.dispose()


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The migrations of the next release, which the release step finds in the place of ours."""
    folder = tmp_path / "next" / "migrations"
    shutil.copytree(ROOT / "migrations", folder)
    (folder / "versions" / "20990101_01_next.py").write_text(NEXT)
    config = Config()
    config.set_main_option("script_location", str(folder))
    monkeypatch.setattr(deploy_migrations, "_config", lambda: config)
    return config


def prompts(engine: Engine, revision: int | None = None) -> dict[str, str]:
    """What each model's prompt costs, by the newest revision unless another is named."""
    with reading(engine) as connection:
        require_schema(connection)
        prices = read.prices(connection, revision or catalogue_state(connection).revision)
        return {price.slug: price.schedule.base["prompt"].text for price in prices}


def test_this_release_serves_and_refreshes_on_while_the_next_one_migrates(
    engine: Engine, next_release: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    migrated, seen = threading.Event(), []

    def ask() -> None:
        while not migrated.is_set():
            seen.append(prompts(engine, 1))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            while not seen:
                time.sleep(0.01)
                assert not asking.done(), asking.exception()
            assert deploy_migrations.main([]) == 0, capsys.readouterr().err
        finally:
            migrated.set()
        asking.result(60)
    assert all(one == {"a/one": "1"} for one in seen)

    assert prompts(engine) == {"a/one": "1"}
    assert fill(engine, model("a/one", prompt="2"), model("b/two", prompt="3")).revision == 2
    assert prompts(engine) == {"a/one": "2", "b/two": "3"}
    assert prompts(engine, 1) == {"a/one": "1"}

    with writing(engine) as connection:
        next_release.attributes["connection"] = connection
        command.downgrade(next_release, SCHEMA_HEAD)
    with engine.connect() as connection:
        assert not inspect(connection).has_table("notes")
    assert prompts(engine) == {"a/one": "2", "b/two": "3"}


@pytest.mark.usefixtures("next_release")
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_release_step_waits_for_who_reads_what_it_alters(engine: Engine) -> None:
    with engine.connect() as reader, ThreadPoolExecutor(1) as pool:
        reader.execute(select(language_models.c.id))
        migrating = pool.submit(deploy_migrations.main, [])
        with engine.connect() as watcher:
            until = time.monotonic() + 60
            while not watcher.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar():
                assert time.monotonic() < until, "the release step does not wait"
                watcher.rollback()
        assert not migrating.done()
        assert len(reader.execute(select(language_models.c.id)).all()) == 1
        reader.rollback()
        assert migrating.result(60) == 0
    assert prompts(engine) == {"a/one": "1"}


def test_migrations_import_nothing_of_the_product() -> None:
    for file in (ROOT / "migrations" / "versions").glob("*.py"):
        imported = [line for line in file.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert imported == ["import sqlalchemy as sa", "from alembic import op"], file.name
