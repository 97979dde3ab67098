"""The story of a refresh, on real stores and both database engines."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from local.standin.client import Standin
from prices.coordination.lease import Lease, make_token
from prices.errors import DatabaseUnavailableError
from prices.history import read
from prices.published.redis_copy import read_publication
from prices.refresh.commit import Committed, commit
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import LOCK_KEY, PAYLOAD_KEY, make_redis
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store import queries
from prices.store.database import make_engine, reading, utc_now, writing
from prices.store.tables import catalogue, received_bodies, refresh_runs
from prices.upstream.received import Received
from tests.support.lists import body, model
from tests.support.made_clock import MadeClock


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """After a failure nobody waits here, unless a test is about that."""
    return replace(settings, retry_max=timedelta(0))


def last_run(services: Services) -> dict[str, object]:
    with reading(services.engine) as connection:
        run = queries.last_run(connection)
    assert run is not None
    return queries.describe_run(run)


def listed_ids(services: Services) -> list[str]:
    with reading(services.engine) as connection:
        return [model.slug for model in queries.listed_models(connection)]


def make_stale(services: Services) -> None:
    with writing(services.engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=None))


def test_a_first_refresh_stores_and_publishes_every_model_after_one_request(
    services: Services, standin: Standin
) -> None:
    done = refresh_prices(services, worker="test", task_id="task-1")

    assert done.outcome == "refreshed"
    assert done.revision == 1
    assert done.models == done.changes == len(listed_ids(services)) > 40
    assert standin.requests()["received"] == 1
    published = read_publication(services.redis, services.keys)
    assert published is not None
    assert published[1].revision == 1
    run = last_run(services)
    assert (run["outcome"], run["worker"], run["task_id"], run["models"]) == (
        "refreshed",
        "test",
        "task-1",
        done.models,
    )
    assert services.redis.get(LOCK_KEY) is None
    assert not services.redis.exists(PAYLOAD_KEY)


def test_fresh_prices_are_not_fetched_again_unless_forced(services: Services, standin: Standin) -> None:
    refresh_prices(services, worker="test")

    again = refresh_prices(services, worker="test")
    assert (again.outcome, again.reason, again.revision) == ("skipped", "fresh", 1)
    assert standin.requests()["received"] == 1

    forced = refresh_prices(services, worker="test", force=True)
    assert (forced.outcome, forced.revision, forced.changes) == ("refreshed", 1, 0)
    assert standin.requests()["received"] == 2


def test_a_lock_held_by_another_worker_stops_the_refresh_and_says_who(
    services: Services, standin: Standin
) -> None:
    other = Lease(
        services.redis, LOCK_KEY, make_token("w2@elsewhere", "task-9"), lease=services.settings.lock_lease
    )
    assert other.take() is None

    done = refresh_prices(services, worker="test", force=True)

    assert (done.outcome, done.reason, done.holder) == ("skipped", "held", "w2@elsewhere")
    assert standin.requests()["received"] == 0
    assert services.redis.get(LOCK_KEY) == other.token.encode()


def test_without_redis_the_database_alone_guards_the_refresh(
    services_without_redis: Services, standin: Standin
) -> None:
    done = refresh_prices(services_without_redis, worker="test")
    assert (done.outcome, done.degraded) == ("refreshed", True)

    assert refresh_prices(services_without_redis, worker="test").reason == "fresh"
    assert standin.requests()["received"] == 1


def test_a_price_that_moves_ends_its_interval_and_begins_another(
    services: Services, standin: Standin
) -> None:
    refresh_prices(services, worker="test")
    moved = listed_ids(services)[0]
    standin.answer(patch={moved: {"pricing.prompt": "0.00000777"}})

    done = refresh_prices(services, worker="test", force=True)

    assert (done.changes, done.revision) == (1, 2)
    with reading(services.engine) as connection:
        ended, current = read.intervals(connection, moved)
        (as_first_known,) = read.prices(connection, 1, slug=moved)
    assert ended.valid_from == as_first_known.valid_from
    assert (ended.valid_to, current.valid_to) == (current.valid_from, None)
    assert (as_first_known.valid_to, as_first_known.revision) == (None, 1)
    assert (ended.revision, current.revision) == (2, 2)
    assert current.schedule.base["prompt"].text == "0.00000777"


def test_a_model_that_vanishes_leaves_a_tombstone_and_may_return(
    services: Services, standin: Standin
) -> None:
    refresh_prices(services, worker="test")
    before = listed_ids(services)
    standin.answer(drop=[before[3]])

    assert refresh_prices(services, worker="test", force=True).changes == 1
    assert listed_ids(services) == [model for model in before if model != before[3]]
    with reading(services.engine) as connection:
        assert set(queries.tombstones(connection)) == {before[3]}

    standin.clear()
    assert refresh_prices(services, worker="test", force=True).changes == 1
    assert listed_ids(services) == before


def test_a_row_that_upstream_garbled_keeps_its_last_good_price(services: Services, standin: Standin) -> None:
    refresh_prices(services, worker="test")
    before = listed_ids(services)
    standin.answer(patch={before[0]: {"pricing.prompt": "NaN"}, before[1]: {"-pricing": None}})

    done = refresh_prices(services, worker="test", force=True)

    assert (done.outcome, done.skipped_rows, done.changes) == ("refreshed", 2, 0)
    assert listed_ids(services) == before
    skipped = last_run(services)["skipped"]
    assert isinstance(skipped, list)
    assert f"row 0 ({before[0]}): pricing.prompt: 'NaN' is not a decimal number" in skipped


BROKEN: dict[str, tuple[dict[str, object], str]] = {
    "an error status": ({"status": 500}, "upstream answered 500"),
    "a rate limit": ({"status": 429}, "upstream answered 429"),
    "an HTML page": ({"html": True}, "upstream's body is no price list"),
    "half a body": ({"cut": 5000}, "upstream could not be read"),
    "an empty list": ({"empty_list": True}, "upstream's list is empty"),
    "no bytes at all": ({"reset": True}, "upstream could not be read"),
    "random bytes": ({"garbage": 5000}, "upstream's body is no price list"),
    "another object": ({"body": '{"models": []}'}, "upstream's body has no `data`"),
    "a page that leads elsewhere": (
        {"body": '{"data":[{"id":"a/b","pricing":{}}],"links":{"next":"http://127.0.0.1:1/"}}'},
        "upstream's link to the next page leads to another address",
    ),
    "a list that is too short": (
        {"body": '{"data":[{"id":"a/b","pricing":{}}],"total_count":2}'},
        "upstream sent 1 of 2 models",
    ),
    "rows of which none is usable": (
        {"body": '{"data":[{"id":"a/b","pricing":{}}]}'},
        "upstream's list has no usable row",
    ),
    "more redirects than three": ({"redirect": 5}, "upstream redirected more than 3 times"),
}


@pytest.mark.parametrize("answer", BROKEN)
def test_what_is_no_price_list_fails_the_run_and_changes_nothing(
    answer: str, services: Services, standin: Standin
) -> None:
    refresh_prices(services, worker="test")
    before, published = listed_ids(services), read_publication(services.redis, services.keys)
    fault, reason = BROKEN[answer]
    standin.answer(fault)

    with pytest.raises(RefreshFailedError) as failure:
        refresh_prices(services, worker="test", force=True)

    assert reason in str(failure.value)
    run = last_run(services)
    assert (run["outcome"], run["state"]) == ("failed", "finished")
    assert reason in str(run["reason"])
    assert listed_ids(services) == before
    assert read_publication(services.redis, services.keys) == published
    assert services.redis.get(LOCK_KEY) is None
    standin.clear()
    assert refresh_prices(services, worker="test", force=True).outcome == "refreshed"


def test_a_body_received_before_a_crash_is_used_and_not_fetched_again(
    services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_args: object, **_kwargs: object) -> None:
        raise MemoryError("the worker died here")

    monkeypatch.setattr("prices.refresh.story.commit", crash)
    with pytest.raises(RefreshFailedError, match="MemoryError: the worker died here"):
        refresh_prices(services, worker="w1")
    monkeypatch.undo()

    done = refresh_prices(services, worker="w2")

    assert done.outcome == "refreshed"
    assert standin.requests()["received"] == 1


def test_a_run_whose_heart_stopped_is_closed_and_superseded(services: Services) -> None:
    refresh_prices(services, worker="w1")
    make_stale(services)
    with writing(services.engine) as connection:
        connection.execute(
            update(refresh_runs).values(
                state="running", outcome=None, heartbeat_at=datetime(2026, 1, 1, tzinfo=UTC)
            )
        )

    assert refresh_prices(services, worker="w2").outcome == "refreshed"
    with reading(services.engine) as connection:
        first = connection.execute(select(refresh_runs).order_by(refresh_runs.c.id)).first()
    assert first is not None
    assert (first.outcome, first.reason) == ("failed", "abandoned: its heartbeat stopped")


def test_a_database_without_tables_fails_the_run_before_upstream_is_asked(
    empty_database_url: str,
    redis_url: str,
    standin: Standin,
    make_services: Callable[..., Services],
) -> None:
    services = make_services(
        Settings.from_env(
            {
                "DATABASE_URL": empty_database_url,
                "REDIS_URL": redis_url,
                "OPENROUTER_BASE_URL": standin.base_url,
            }
        )
    )
    with pytest.raises(RefreshFailedError, match=r"run python deploy_migrations\.py"):
        refresh_prices(services, worker="test")
    assert standin.requests()["received"] == 0
    assert services.redis.get(LOCK_KEY) is None


def age_of_prices(services: Services) -> float:
    with reading(services.engine) as connection:
        at = queries.catalogue_state(connection).refreshed_at
        assert at is not None
        return (utc_now(connection) - at).total_seconds()


def crash_before_commit(services: Services, monkeypatch: pytest.MonkeyPatch, commits: str = "commit") -> None:
    """Let a worker receive a body and find the database gone when it commits."""

    def away(*_args: object, **_kwargs: object) -> None:
        raise DatabaseUnavailableError("the database failed")

    with monkeypatch.context() as patched:
        patched.setattr(f"prices.refresh.story.{commits}", away)
        with pytest.raises(RefreshFailedError, match="the database failed"):
            refresh_prices(services, worker="w1")


def test_credentials_in_the_base_address_are_sent_and_kept_nowhere(
    settings: Settings,
    make_services: Callable[[Settings], Services],
    standin: Standin,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_credentials = standin.base_url.replace("://", "://user:hunter2@")
    told = Settings.from_env({"OPENROUTER_BASE_URL": with_credentials})
    services = make_services(
        replace(
            settings,
            upstream_url=told.upstream_url,
            upstream_authorization=told.upstream_authorization,
        )
    )
    crash_before_commit(services, monkeypatch)

    (asked,) = standin.requests()["log"]
    assert asked["headers"]["authorization"] is True
    with reading(services.engine) as connection:
        sources = list(connection.scalars(select(received_bodies.c.source)))
    assert sources == [standin.base_url]
    stashed = services.redis.hget(PAYLOAD_KEY, "stashed")
    assert isinstance(stashed, bytes)
    assert standin.base_url.encode() in stashed
    assert b"hunter2" not in stashed
    assert refresh_prices(services, worker="test").outcome == "refreshed"
    assert standin.requests()["received"] == 1
    assert "hunter2" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("gone", ["Redis emptied", "Redis away", "database emptied"])
def test_a_received_body_is_used_whichever_store_kept_it(
    gone: str, services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_before_commit(services, monkeypatch)
    next_one = services
    if gone == "Redis emptied":
        services.redis.flushall()
    elif gone == "Redis away":
        next_one = replace(services, redis=make_redis("redis://127.0.0.1:1/0"))
    else:
        with writing(services.engine) as connection:
            connection.execute(delete(received_bodies))

    assert refresh_prices(next_one, worker="w2").outcome == "refreshed"
    assert standin.requests()["received"] == 1


@pytest.mark.parametrize("gone", ["nothing", "Redis emptied", "database emptied"])
def test_of_a_body_that_the_catalogue_is_already_a_mark_is_kept(
    gone: str, services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_prices(services, worker="w0")
    make_stale(services)
    crash_before_commit(services, monkeypatch, "confirm")
    stashed = services.redis.hget(PAYLOAD_KEY, "stashed")
    assert isinstance(stashed, bytes)
    assert len(stashed) < 200
    if gone == "Redis emptied":
        services.redis.flushall()
    if gone == "database emptied":
        with writing(services.engine) as connection:
            connection.execute(delete(received_bodies))

    done = refresh_prices(services, worker="w2")

    assert (done.outcome, done.revision, done.changes) == ("refreshed", 1, 0)
    assert done.models == len(listed_ids(services))
    assert standin.requests()["received"] == 2
    assert age_of_prices(services) < 60


def test_a_body_received_while_redis_is_away_is_used_by_the_next(
    services: Services, services_without_redis: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_before_commit(services_without_redis, monkeypatch)
    assert refresh_prices(services, worker="w2").outcome == "refreshed"
    assert standin.requests()["received"] == 1


def test_prices_from_a_stashed_body_are_as_old_as_the_body(
    services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_before_commit(services, monkeypatch)
    services.redis.flushall()
    with writing(services.engine) as connection:
        received_at = utc_now(connection) - timedelta(hours=2)
        connection.execute(update(received_bodies).values(received_at=received_at))

    refresh_prices(services, worker="w2")

    assert standin.requests()["received"] == 1
    assert age_of_prices(services) == pytest.approx(7200, abs=60)
    left = services.settings.refresh_interval.total_seconds() * 0.9 - 7200
    assert services.redis.pttl(services.keys.fresh) / 1000 == pytest.approx(left, abs=60)


def test_a_forced_refresh_fetches_although_a_body_is_stashed(
    services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_before_commit(services, monkeypatch)
    assert refresh_prices(services, worker="w2", force=True).outcome == "refreshed"
    assert standin.requests()["received"] == 2
    make_stale(services)
    refresh_prices(services, worker="w3")
    assert standin.requests()["received"] == 3


def test_a_body_on_which_two_runs_failed_for_an_unknown_reason_is_fetched_anew(
    services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_args: object, **_kwargs: object) -> None:
        raise MemoryError("nobody knows why")

    with monkeypatch.context() as patched:
        patched.setattr("prices.refresh.story.commit", crash)
        for worker in ("w1", "w2"):
            with pytest.raises(RefreshFailedError, match="MemoryError"):
                refresh_prices(services, worker=worker)
    assert standin.requests()["received"] == 1
    assert refresh_prices(services, worker="w3").outcome == "refreshed"
    assert standin.requests()["received"] == 2


def test_a_process_told_to_end_is_abandoned_and_its_body_used_by_the_next(
    services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_args: object, **_kwargs: object) -> None:
        raise SystemExit(1)

    with monkeypatch.context() as patched:
        patched.setattr("prices.refresh.story.commit", end)
        for worker in ("w1", "w2"):
            with pytest.raises(SystemExit):
                refresh_prices(services, worker=worker)
            run = last_run(services)
            assert (run["worker"], run["outcome"]) == (worker, "failed")
            assert run["reason"] == "abandoned: its process was told to end (SystemExit)"
            assert services.redis.get(LOCK_KEY) is None
    assert refresh_prices(services, worker="w3").outcome == "refreshed"
    assert standin.requests()["received"] == 1


@pytest.mark.parametrize("while_receiving", [True, False])
def test_a_worker_that_stood_still_while_it_fetched_commits_nothing_and_its_body_is_used(
    while_receiving: bool, services: Services
) -> None:
    clock, fetched = MadeClock(), []

    def slow(_base_url: str, _key: str | None, received: Callable[[int], None]) -> bytes:
        fetched.append("w1")
        clock.stand_still(61)
        if while_receiving:
            received(1024)
        return body(model("a/one"))

    paused = replace(services, clock=clock, fetch=slow)
    with pytest.raises(RefreshFailedError, match="claim lost: it was not renewed for 61 s"):
        refresh_prices(paused, worker="w1")

    run = last_run(services)
    assert (run["state"], run["outcome"]) == ("finished", "failed")
    assert listed_ids(services) == []
    assert read_publication(services.redis, services.keys) is None

    def quick(*_given: object) -> bytes:
        fetched.append("w2")
        return body(model("a/one"))

    done = refresh_prices(replace(services, fetch=quick), worker="w2")
    assert done.outcome == "refreshed"
    assert fetched == (["w1", "w2"] if while_receiving else ["w1"])


def test_a_worker_that_stood_still_after_its_commit_asks_anew_how_fresh_the_prices_are(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = MadeClock()

    def committed(*given: Any) -> Committed:
        done = commit(*given)
        clock.stand_still(7200)
        with writing(services.engine) as connection:
            connection.execute(
                update(catalogue).values(refreshed_at=utc_now(connection) - timedelta(hours=2))
            )
        return done

    monkeypatch.setattr("prices.refresh.story.commit", committed)
    refresh_prices(replace(services, clock=clock), worker="w1")
    left = services.settings.refresh_interval.total_seconds() * 0.9 - 7200
    assert services.redis.pttl(services.keys.fresh) / 1000 == pytest.approx(left, abs=60)


def wait_of_last_run(services: Services) -> float:
    """How long the last run keeps the next one waiting, seconds."""
    with reading(services.engine) as connection:
        run = queries.last_run(connection)
    assert run is not None
    return float((run.retry_at - run.finished_at).total_seconds())


def test_until_the_time_that_a_failed_run_names_nobody_asks_upstream_unless_forced(
    services: Services, services_without_redis: Services, standin: Standin
) -> None:
    standin.answer(status=429, headers={"Retry-After": "7200"})
    with pytest.raises(RefreshFailedError):
        refresh_prices(services, worker="w1")
    standin.clear()
    standin.forget()
    services.redis.flushall()

    for other in (services, services_without_redis):
        for trust_marker in (True, False):
            told = refresh_prices(other, worker="w2", trust_marker=trust_marker)
            assert (told.outcome, told.reason) == ("skipped", "waiting")
            assert told.retry_at == last_run(services)["retry_at"]
            assert "upstream answered 429" in str(told.last_failure)
    assert standin.requests()["received"] == 0
    assert services.redis.get(LOCK_KEY) is None

    assert refresh_prices(services, worker="w3", force=True).outcome == "refreshed"
    assert standin.requests()["received"] == 1


def test_each_failure_in_a_row_waits_longer_and_a_success_ends_the_row(
    services: Services, standin: Standin
) -> None:
    patient = replace(
        services, settings=replace(services.settings, retry_max=timedelta(minutes=10)), jitter=lambda: 1.0
    )
    standin.answer(status=503)
    waits, attempts = [], []
    for _time in range(8):
        with pytest.raises(RefreshFailedError):
            refresh_prices(patient, worker="w1", force=True)
        waits.append(wait_of_last_run(services))
        attempts.append(last_run(services)["attempt"])
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600]
    assert attempts == list(range(8))

    standin.clear()
    refresh_prices(patient, worker="w1", force=True)
    run = last_run(services)
    assert (run["attempt"], run["retry_at"]) == (8, None)
    standin.answer(status=503)
    with pytest.raises(RefreshFailedError):
        refresh_prices(patient, worker="w1", force=True)
    assert (last_run(services)["attempt"], wait_of_last_run(services)) == (0, 10)


def test_a_body_that_was_given_and_is_no_list_keeps_nobody_waiting(services: Services) -> None:
    patient = replace(services, settings=replace(services.settings, retry_max=timedelta(minutes=10)))
    with pytest.raises(RefreshFailedError):
        refresh_prices(patient, worker="w1", force=True, given=Received(b"no list", datetime.now(UTC)))
    assert wait_of_last_run(services) == 0


def test_a_failed_refresh_says_how_long_upstream_asked_to_wait(services: Services, standin: Standin) -> None:
    standin.answer(status=429, headers={"Retry-After": "77"})
    with pytest.raises(RefreshFailedError, match="429") as failure:
        refresh_prices(services, worker="test")
    run = last_run(services)
    assert run["reason"] == "upstream answered 429: too many requests; upstream asked to wait 77 s"
    assert failure.value.refresh.retry_at == run["retry_at"]
    assert 76 <= wait_of_last_run(services) <= 88


def test_the_reason_of_a_failure_names_no_address(services: Services) -> None:
    nowhere = replace(services, engine=make_engine("postgresql+psycopg://u:hunter2@127.0.0.1:1/db"))
    with pytest.raises(RefreshFailedError) as failure:
        refresh_prices(nowhere, worker="test")
    assert str(failure.value).startswith("the database failed (OperationalError): nothing listens")
    assert "127.0.0.1" not in str(failure.value)


def test_the_same_body_teaches_the_base_price_that_a_window_hid_before(services: Services) -> None:
    rules = {"overrides": [{"utc_start": 900, "utc_end": 1700, "prompt": "0.000003"}]}
    same, day = body(model("a/b", "0.000003", pricing=rules)), datetime(2026, 8, 6, tzinfo=UTC)
    known = []
    for hour in (10, 14, 20):
        given = Received(same, day + timedelta(hours=hour))
        refresh_prices(services, worker="test", force=True, given=given)
        with reading(services.engine) as connection:
            (price,) = read.prices(connection, queries.catalogue_state(connection).revision)
        known.append(price.schedule.base.get("prompt") is not None)
    assert known == [False, False, True]


def test_a_model_that_was_missing_once_does_not_bring_an_odd_price_past_the_guards(
    services: Services,
) -> None:
    day = datetime(2026, 8, 6, tzinfo=UTC)
    paid, others = model("a/paid", "0.5"), [model(f"a/{name}") for name in ("one", "two", "three")]

    def hear(hour: int, *models: Any) -> int | None:
        given = Received(body(*models), day + timedelta(hours=hour))
        return refresh_prices(services, worker="test", force=True, given=given).held

    def prompt() -> str:
        with reading(services.engine) as connection:
            revision = queries.catalogue_state(connection).revision
            (price,) = read.prices(connection, revision, slug="a/paid")
        return price.schedule.base["prompt"].text

    hear(0, paid, *others)
    hear(3, *others)
    assert (hear(6, model("a/paid", "0"), *others), prompt()) == (1, "0.5")
    assert (hear(9, model("a/paid", "0"), *others), prompt()) == (0, "0")
