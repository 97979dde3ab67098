"""A database that was restored from a backup while Redis stayed as it was, and a copy of one."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from prices.coordination.heartbeats import say_alive
from prices.errors import DatabaseUnavailableError
from prices.operations.health import HealthReporter
from prices.published import reader as reader_module
from prices.published.bodies import Stamp
from prices.published.make import publish_current
from prices.published.reader import KNOWN_SECONDS, SnapshotReader
from prices.published.redis_copy import read_publication, read_stamp
from prices.refresh.story import refresh_prices
from prices.runtime.deployment import Deployment
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.commits import commit_of
from prices.store.database import reading, writing
from prices.store.queries import deployment_of
from prices.store.tables import catalogue
from tests.support.lists import body, model
from tests.support.readers import reader_of

LOST = ["a/old", "a/lost"]


@dataclass
class Restorable:
    """Clients of a database in a file, of which there is a backup, and of a Redis."""

    services: Services
    file: Path
    backup: bytes = b""

    def refresh(self, *slugs: str) -> None:
        fetching = replace(self.services, fetch=lambda *_given: body(*map(model, slugs)))
        assert refresh_prices(fetching, worker="w", force=True).outcome == "refreshed"

    def back_up(self) -> None:
        self.services.engine.dispose()
        assert not Path(f"{self.file}-wal").exists()
        self.backup = self.file.read_bytes()

    def restore(self) -> None:
        self.services.engine.dispose()
        self.file.write_bytes(self.backup)

    def deployment_of_another_process(self) -> Deployment:
        own = self.services.deployment
        return Deployment(self.services.redis, "", own.address, lambda: deployment_of(self.services.engine))

    def published(self) -> tuple[Stamp, int]:
        read = read_publication(self.services.redis, self.services.keys)
        assert read is not None
        return read[0], read[1].revision


@pytest.fixture
def restorable(
    tmp_path: Path, migrated_sqlite: Path, redis_url: str, make_services: Callable[[Settings], Services]
) -> Restorable:
    """Revision 1 lists a/old and is in the backup; revision 2 lists a/lost too."""
    file = tmp_path / "prices.sqlite3"
    file.write_bytes(migrated_sqlite.read_bytes())
    file.chmod(0o600)
    settings = Settings.from_env({"DATABASE_URL": f"sqlite:///{file}", "REDIS_URL": redis_url})
    made = Restorable(make_services(settings), file)
    made.refresh("a/old")
    made.back_up()
    made.refresh("a/old", "a/lost")
    return made


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A reader's clock; a busy machine is no failure."""
    for name in ("NEWS_SECONDS", "FIRST_SECONDS", "JUDGE_SECONDS"):
        monkeypatch.setattr(reader_module, name, 20)
    return Clock()


def served(reader: SnapshotReader, clock: Clock) -> list[str]:
    clock.now += 1
    return list(reader.current().documents)


def test_beat_replaces_what_is_published_of_the_lost_past(restorable: Restorable) -> None:
    assert restorable.published()[1] == 2
    restorable.restore()
    publish_current(restorable.services)
    stamp, revision = restorable.published()
    assert revision == 1
    with reading(restorable.services.engine) as connection:
        assert stamp.commit == commit_of(connection, 1)
    assert restorable.services.redis.get(restorable.services.keys.fresh) == b"1"


def test_a_reader_leaves_the_lost_past_once_what_is_published_was_put_right(
    restorable: Restorable, clock: Clock
) -> None:
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    assert served(reader, clock) == LOST
    restorable.restore()
    publish_current(restorable.services)
    assert served(reader, clock) == ["a/old"]
    assert served(reader, clock) == ["a/old"]
    assert restorable.published()[1] == 1


def test_what_was_put_right_is_read_and_not_made_by_every_process(
    restorable: Restorable, clock: Clock
) -> None:
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    assert served(reader, clock) == LOST
    restorable.restore()
    publish_current(restorable.services)

    def makes(_known: Stamp | None) -> Any:
        raise AssertionError("the database is asked for bodies that Redis holds")

    reader._ask_database = makes
    assert served(reader, clock) == ["a/old"]
    assert served(reader, clock) == ["a/old"]


def test_without_beat_a_new_reader_puts_right_what_is_published(restorable: Restorable, clock: Clock) -> None:
    restorable.restore()
    reader = reader_of(restorable.services, clock)
    served(reader, clock)
    assert served(reader, clock) == ["a/old"]
    assert served(reader, clock) == ["a/old"]
    assert restorable.published()[1] == 1


def test_without_beat_a_reader_that_runs_follows_within_a_minute(
    restorable: Restorable, clock: Clock
) -> None:
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    assert served(reader, clock) == LOST
    restorable.restore()
    clock.now += KNOWN_SECONDS[1]
    assert served(reader, clock) == ["a/old"]
    assert served(reader, clock) == ["a/old"]
    assert restorable.published()[1] == 1


def test_a_database_made_anew_at_the_same_address_is_followed_within_a_minute(
    restorable: Restorable, clock: Clock
) -> None:
    """It has another id: what it publishes stands under other keys, and those of the old one stay."""
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    assert served(reader, clock) == LOST
    restorable.restore()
    with writing(restorable.services.engine) as connection:
        connection.execute(update(catalogue).values(deployment="made anew"))
    beat = replace(restorable.services, deployment=restorable.deployment_of_another_process())
    publish_current(beat)
    assert served(reader, clock) == LOST
    clock.now += KNOWN_SECONDS[1]
    assert served(reader, clock) == ["a/old"]
    assert restorable.services.keys == beat.keys


def test_the_database_is_not_asked_at_each_look_whether_it_knows_what_is_served(
    restorable: Restorable, clock: Clock
) -> None:
    reader = reader_of(restorable.services, clock)
    ask, asked = reader._ask_whether_known, []

    def counted(stamp: Stamp) -> bool:
        asked.append(clock.now)
        return ask(stamp)

    reader._ask_whether_known = counted
    for _second in range(300):
        served(reader, clock)
    assert 300 / KNOWN_SECONDS[1] - 1 <= len(asked) <= 300 / KNOWN_SECONDS[0] + 1


def test_processes_that_got_no_answer_do_not_all_ask_again_at_once(
    restorable: Restorable, clock: Clock
) -> None:
    readers = [reader_of(restorable.services, clock) for _ in range(10)]

    def away(_stamp: Stamp) -> bool:
        raise DatabaseUnavailableError("away")

    for reader in readers:
        reader._ask_whether_known = away
        assert list(reader.current().documents) == LOST
    clock.now += 1
    for reader in readers:
        assert list(reader.current().documents) == LOST
    assert len({reader._judge_closed_until for reader in readers}) == len(readers)


def test_without_redis_a_reader_follows_the_restored_database(
    restorable: Restorable, clock: Clock, no_redis: Any
) -> None:
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    restorable.restore()
    reader._redis = no_redis
    clock.now += 10
    assert served(reader, clock) == ["a/old"]


def test_while_the_database_is_away_a_copy_in_memory_is_served_and_not_put_back(
    restorable: Restorable, clock: Clock
) -> None:
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    restorable.restore()
    publish_current(restorable.services)

    def away(_stamp: Stamp) -> bool:
        raise DatabaseUnavailableError("away")

    reader._ask_whether_known = away
    assert served(reader, clock) == LOST
    assert restorable.published()[1] == 1


def test_two_lists_of_one_number_bear_different_commits(restorable: Restorable) -> None:
    lost, number = restorable.published()
    restorable.restore()
    restorable.refresh("a/old", "a/lost")  # even the same list again is another commit
    again, the_same_number = restorable.published()
    assert number == the_same_number == 2
    assert again.content != lost.content
    assert again.commit != lost.commit


def test_a_refresh_that_comes_before_any_repair_publishes_the_restored_past(restorable: Restorable) -> None:
    restorable.restore()
    restorable.refresh("a/old", "a/new")
    read = read_publication(restorable.services.redis, restorable.services.keys)
    assert read is not None
    assert b"a/new" in read[1].models.encoded("identity")


def test_the_health_report_is_not_healthy_while_database_and_redis_disagree(restorable: Restorable) -> None:
    services = restorable.services
    for kind in ("worker", "beat"):
        say_alive(services.redis, services.keys, kind, kind)
    assert HealthReporter(services).report()["status"] == "healthy"
    restorable.restore()
    report = HealthReporter(services).report()
    assert (report["status"], report["prices"]["status"]) == ("degraded", "unpublished")
    publish_current(services)
    assert HealthReporter(services).report()["status"] == "healthy"


def test_a_copy_of_the_database_with_the_same_id_is_not_served_by_the_original(
    restorable: Restorable, tmp_path: Path, make_services: Callable[[Settings], Services], clock: Clock
) -> None:
    """Both publish under the same keys; each serves what its own database knows."""
    file = tmp_path / "copy.sqlite3"
    file.write_bytes(restorable.backup)
    settings = replace(restorable.services.settings, database_url=f"sqlite:///{file}")
    copy = Restorable(make_services(settings), file)
    reader = reader_of(restorable.services, clock)
    assert served(reader, clock) == LOST
    time.sleep(0.002)  # so that the copy's publication is the later one
    copy.refresh("a/old", "a/copied")
    stamp = read_stamp(copy.services.redis, copy.services.keys)
    assert stamp is not None
    assert served(reader, clock) == LOST
    assert restorable.published()[1] == 2
