"""A replay: dated bodies become history as if they had been received in their time, exactly and once."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from local.standin.client import Standin
from prices.catalogue.changes import ChangeKind
from prices.coordination.lease import Lease, make_token
from prices.errors import PricesError
from prices.formats import pricebeat
from prices.history import read
from prices.history.read import RecordedChange
from prices.published.bodies import IDENTITY, PublishedBody
from prices.published.make import make_publication
from prices.published.redis_copy import read_publication
from prices.refresh.replay import SECOND_LOOK, Capture, Replayed, captures_in, replay
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import LOCK_KEY
from prices.services import Services
from prices.store.database import reading, utc_now
from prices.store.queries import catalogue_state, holds
from prices.store.tables import refresh_runs
from tests.support.captures import RECORDED, TIMES, agree, made_up, told
from tests.support.lists import body, model


def load(services: Services, captures: Any, *, twice: bool = False) -> Replayed:
    return replay(services, captures, worker="test", twice=twice)


def served(services: Services) -> tuple[int, PublishedBody]:
    """What would be published of the catalogue as it is."""
    _stamp, published = make_publication(services.engine, services.settings.markup)
    return published.revision, published.prices


def feed_of(services: Services) -> list[RecordedChange]:
    with reading(services.engine) as connection:
        return read.changes(connection, since=0, limit=100_000, kinds=frozenset(ChangeKind))


# Whole folders


@pytest.fixture(params=["made up", "recorded"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Bodies of many times, with all that is odd about them."""
    if request.param == "made up":
        return made_up(tmp_path)
    if not RECORDED.is_dir():
        pytest.skip("there are no recorded bodies beside the repository")
    return RECORDED


def test_every_body_is_history_to_the_digit_and_every_revision_stays_what_it_was(
    folder: Path, stores: Services
) -> None:
    captures = captures_in(folder)
    published: dict[int, PublishedBody] = {}

    def watched() -> Iterator[Capture]:
        for capture in captures:
            yield capture
            revision, prices = served(stores)
            published[revision] = prices

    done = load(stores, watched(), twice=True)

    assert (done.fed, done.known, done.failed) == (2 * len(captures), 0, 0)
    with reading(stores.engine) as connection:
        state = catalogue_state(connection)
        assert (holds(connection), state.revision) == ({}, done.revision)
        for capture in captures:
            agree(
                capture.read(),
                told(read.prices(connection, state.revision, at=capture.at), capture.at),
            )
        for revision, prices in published.items():
            again = pricebeat.price_list(read.prices(connection, revision), stores.settings.markup, revision)
            assert prices.encoded(IDENTITY) == again
    assert len(published) == len(captures)
    assert read_publication(stores.redis, stores.keys)[1].prices == published[done.revision]  # type: ignore[index]

    before = feed_of(stores)
    again = load(stores, captures, twice=True)
    assert again == Replayed(0, 2 * len(captures), 0, 0, done.revision)
    assert feed_of(stores) == before
    assert len([change for change in before if change.kind is not ChangeKind.ATTRIBUTES]) == done.changes


# Interruptions

FEW = TIMES[:6]


def test_a_replay_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, stores: Services) -> None:
    captures = captures_in(made_up(tmp_path, FEW, 40))

    def interrupted() -> Iterator[Capture]:
        yield from captures[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(stores, interrupted(), twice=True)
    assert read_publication(stores.redis, stores.keys)[1].revision == served(stores)[0]  # type: ignore[index]
    done = load(stores, captures, twice=True)
    assert (done.fed, done.known) == (6, 6)
    with reading(stores.engine) as connection:
        for capture in captures:
            agree(capture.read(), told(read.prices(connection, done.revision, at=capture.at), capture.at))


def test_what_the_guards_hold_waits_for_the_next_body_unless_each_is_fed_twice(
    tmp_path: Path, stores: Services
) -> None:
    for number, prompt in enumerate(("1", "0", "1", "0", "0")):
        (tmp_path / f"2026-01-0{number + 1}T0000Z.json").write_bytes(body(model("a/one", prompt, "1")))
    captures = captures_in(tmp_path)
    assert load(stores, captures[:2]).changes == 1  # added; the zero is held
    with reading(stores.engine) as connection:
        assert set(holds(connection)) == {"a/one"}
    done = load(stores, captures)
    assert (done.fed, done.known, done.changes) == (3, 2, 1)
    with reading(stores.engine) as connection:
        known = read.intervals(connection, "a/one")
    assert [(one.schedule.base["prompt"].text, one.valid_from) for one in known] == [
        ("1", captures[0].at),
        ("0", captures[3].at),
    ]


def test_fed_twice_each_body_is_believed_as_of_its_time(tmp_path: Path, stores: Services) -> None:
    for number, prompt in enumerate(("1", "0", "1")):
        (tmp_path / f"2026-01-0{number + 1}T0000Z.json").write_bytes(body(model("a/one", prompt, "1")))
    captures = captures_in(tmp_path)
    assert load(stores, captures, twice=True).changes == 3
    with reading(stores.engine) as connection:
        known = read.intervals(connection, "a/one")
    assert [(one.schedule.base["prompt"].text, one.valid_from) for one in known] == [
        (prompt, capture.at) for prompt, capture in zip(("1", "0", "1"), captures, strict=True)
    ]


def test_a_body_that_is_no_price_list_is_a_failed_run_and_the_next_follows(
    tmp_path: Path, stores: Services
) -> None:
    bodies = {"2026-01-01T0000Z": body(model("a/one", "1")), "2026-01-02T0000Z": b"<html>busy</html>"}
    for name, content in (bodies | {"2026-01-03T0000Z": body(model("a/one", "2"))}).items():
        (tmp_path / f"{name}.json").write_bytes(content)
    done = load(stores, captures_in(tmp_path), twice=True)
    assert (done.fed, done.known, done.failed) == (4, 0, 1)
    with reading(stores.engine) as connection:
        row = refresh_runs.c
        reasons = connection.scalars(select(row.reason).where(row.outcome == "failed")).all()
    assert len(reasons) == 1
    assert "no price list" in str(reasons[0])


def test_a_file_that_cannot_be_read_ends_the_replay_with_its_name(tmp_path: Path, stores: Services) -> None:
    (tmp_path / "2026-01-01T0000Z.json").write_bytes(body(model("a/one", "1")))
    (tmp_path / "2026-01-02T0000Z.json.gz").write_bytes(gzip.compress(b"x" * 5000)[:-20])
    with pytest.raises(PricesError, match=r"2026-01-02T0000Z\.json\.gz cannot be read"):
        load(stores, captures_in(tmp_path))
    assert served(stores)[0] == 1


def test_while_another_refreshes_nothing_is_fed(tmp_path: Path, stores: Services) -> None:
    captures = captures_in(made_up(tmp_path, FEW[:1], 40))
    other = Lease(stores.redis, LOCK_KEY, make_token("w2", "t"), lease=stores.settings.lock_lease)
    assert other.take() is None
    with pytest.raises(PricesError, match="w2 is refreshing: replay again when it has ended"):
        load(stores, captures)
    assert served(stores)[0] == 0


# Beside refreshes of today


def test_refreshes_go_on_after_a_replay_and_an_older_body_is_known_from_then_on(
    tmp_path: Path, services: Services, standin: Standin
) -> None:
    captures = captures_in(made_up(tmp_path, FEW, 60))
    load(services, captures[:3])
    live = refresh_prices(services, worker="live")  # what was replayed is not fresh
    assert (live.outcome, standin.requests()["received"]) == ("refreshed", 1)
    assert refresh_prices(services, worker="live").reason == "fresh"
    done = load(services, captures)
    assert (done.fed, done.known, done.revision) == (0, len(captures), live.revision)
    with reading(services.engine) as connection:
        for capture in captures[:3]:
            agree(capture.read(), told(read.prices(connection, done.revision, at=capture.at), capture.at))


def test_a_body_of_a_time_to_come_is_refused_because_no_refresh_could_follow_it(
    tmp_path: Path, stores: Services
) -> None:
    with reading(stores.engine) as connection:
        tomorrow = utc_now(connection) + timedelta(days=1)
    (tmp_path / f"{tomorrow:%Y-%m-%dT%H%MZ}.json").write_bytes(body(model("a/one")))
    (tmp_path / "2026-01-01T0000Z.json").write_bytes(body(model("a/one")))
    with pytest.raises(PricesError, match="is of a time that has not come yet"):
        load(stores, captures_in(tmp_path))
    assert served(stores)[0] == 1


def test_bodies_of_this_hour_are_fed_although_the_first_makes_the_prices_fresh(
    tmp_path: Path, stores: Services
) -> None:
    with reading(stores.engine) as connection:
        now = utc_now(connection)
    for minutes, prompt in ((40, "1"), (20, "2")):
        name = f"{now - timedelta(minutes=minutes):%Y-%m-%dT%H%M%SZ}.json"
        (tmp_path / name).write_bytes(body(model("a/one", prompt, "1")))
    done = load(stores, captures_in(tmp_path), twice=True)
    assert (done.fed, done.changes) == (4, 2)
    assert refresh_prices(stores, worker="live").reason == "fresh"


def test_no_run_is_left_open_and_each_has_the_time_of_its_body(tmp_path: Path, stores: Services) -> None:
    captures = captures_in(made_up(tmp_path, FEW[:2], 40))
    load(stores, captures, twice=True)
    with reading(stores.engine) as connection:
        assert catalogue_state(connection).refreshed_at == captures[-1].at + SECOND_LOOK
        told_by = connection.execute(
            select(refresh_runs.c.outcome, func.count()).group_by(refresh_runs.c.outcome)
        )
        assert told_by.all() == [("refreshed", 4)]


# Files and their names


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("2026-08-06T1244Z.json.gz", datetime(2026, 8, 6, 12, 44, tzinfo=UTC)),
        ("2026-08-06T12:44:05Z.json", datetime(2026, 8, 6, 12, 44, 5, tzinfo=UTC)),
        ("20260806T124405.json", datetime(2026, 8, 6, 12, 44, 5, tzinfo=UTC)),
        ("2026-08-06_12-44.json", datetime(2026, 8, 6, 12, 44, tzinfo=UTC)),
        ("2026-08-06 1244 from the archive.json", datetime(2026, 8, 6, 12, 44, tzinfo=UTC)),
    ],
)
def test_a_file_is_dated_by_its_name(name: str, at: datetime, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "README.txt").touch()
    assert captures_in(tmp_path) == [Capture(at, tmp_path / name)]


def test_files_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    for name in ("2026-08-06T1244Z.json", "20240101T0000.json", "2025-12-31T2359Z.json.gz"):
        (tmp_path / name).touch()
    assert [capture.at.year for capture in captures_in(tmp_path)] == [2024, 2025, 2026]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "holds no file named like"),
        (["models.json"], r"models\.json is not named by a time"),
        (["2026-13-06T1244Z.json"], "is not named by a time"),
        (["2026-08-06.json"], "is not named by a time"),
        (["2026-08-06T1244Z.json", "20260806T1244.json"], "have the same time"),
    ],
)
def test_a_folder_that_cannot_be_put_in_order_is_refused(
    names: list[str], reason: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(PricesError, match=reason):
        captures_in(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="no folder that can be read"):
        captures_in(tmp_path / "nowhere")


def test_a_body_is_read_packed_or_plain_whatever_its_name(tmp_path: Path) -> None:
    for name, content in (("1.json.gz", b"plain"), ("2.json", gzip.compress(b"packed"))):
        (tmp_path / name).write_bytes(content)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert Capture(at, tmp_path / "1.json.gz").read() == b"plain"
    assert Capture(at, tmp_path / "2.json").read() == b"packed"


def test_a_body_longer_than_any_list_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.json").write_bytes(gzip.compress(bytes(2000)))
    monkeypatch.setattr("prices.refresh.replay.MAX_BYTES", 1000)
    with pytest.raises(PricesError, match=r"bomb\.json is longer than 1000 bytes"):
        Capture(datetime(2026, 1, 1, tzinfo=UTC), tmp_path / "bomb.json").read()
