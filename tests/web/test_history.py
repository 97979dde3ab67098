"""Prices of the past over HTTP: at a time, by a revision, as intervals, as a feed; asked within bounds."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection

from prices.formats.pricebeat import plain
from prices.price import Decimal
from prices.replay import Capture, captures_in, replay
from prices.services import Services
from prices.settings import Settings
from tests.openrouter_standin.client import Standin
from tests.prices.captures import RECORDED, TIMES, agree, made_up
from tests.prices.ledger import fill
from tests.prices.lists import model
from tests.prices.tiny_server import TinyServer
from tests.web.site import Site

MINUTE = timedelta(minutes=1)
USED = "lumenforge/aurora-5"


def instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def get(client: FlaskClient, path: str, **query: Any) -> Any:
    answer = client.get(path, query_string=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json


def in_force(entry: Any) -> dict[str, str]:
    """The price of each dimension in an answer, without trailing zeros."""
    return {
        name: "-1"
        if price["state"] == "dynamic"
        else plain(Decimal(price.get("per_token") or price["per_unit"]))
        for name, price in entry["in_force"].items()
    }


def load(site: Site, folder: Path) -> list[Capture]:
    services = Services.make(Settings.from_env(site.env))
    captures = captures_in(folder)
    replay(services, captures, worker="test", twice=True)
    services.engine.dispose()
    services.redis.close()
    return captures


# Years of bodies


@pytest.fixture(scope="module")
def past(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("past"), page_upstream) as site:
        yield site


@pytest.fixture(scope="module")
def captures(past: Site, tmp_path_factory: pytest.TempPathFactory) -> list[Capture]:
    times = (*TIMES[3:9], TIMES[11])  # of which the last lists a model less
    return load(past, made_up(tmp_path_factory.mktemp("bodies"), times, 60))


@pytest.fixture(scope="module")
def client(past: Site, captures: list[Capture]) -> FlaskClient:
    return past.client()


def test_at_the_time_of_each_body_every_price_is_the_bodys_in_its_order(
    client: FlaskClient, captures: list[Capture]
) -> None:
    for capture in captures:
        told = get(client, "/api/v1/prices", at=instant(capture.at))
        agree(capture.read(), {entry["id"]: in_force(entry) for entry in told["data"]})


def test_at_the_time_of_a_recorded_body_every_price_is_the_bodys(
    page_upstream: Standin, tmp_path: Path
) -> None:
    if not RECORDED.is_dir():
        pytest.skip("there are no recorded bodies beside the repository")
    newest = sorted(RECORDED.iterdir())[-1]
    (tmp_path / newest.name).write_bytes(newest.read_bytes())
    with Site(tmp_path, page_upstream) as site:
        (capture,) = load(site, tmp_path)
        told = get(site.client(), "/api/v1/prices", at=instant(capture.at))
        agree(capture.read(), {entry["id"]: in_force(entry) for entry in told["data"]})


def test_a_model_alone_is_what_the_list_says_of_it(client: FlaskClient, captures: list[Capture]) -> None:
    for query in (
        {"at": instant(captures[4].at)},
        {"revision": 3},
        {"revision": 3, "at": instant(captures[0].at)},
    ):
        listed = get(client, "/api/v1/prices", **query)["data"]
        assert len(listed) > 50
        for entry in listed[::7]:
            assert get(client, f"/api/v1/prices/{entry['id']}", **query) == entry


def test_at_a_time_can_be_searched(client: FlaskClient, captures: list[Capture]) -> None:
    at = instant(captures[2].at)
    listed = [entry["id"] for entry in get(client, "/api/v1/prices", at=at)["data"]]
    found = [entry["id"] for entry in get(client, "/api/v1/prices", at=at, q="AURORA-5:")["data"]]
    assert found == [slug for slug in listed if "aurora-5:" in slug]
    assert len(found) >= 6


def test_before_the_first_body_nothing_was_in_force(client: FlaskClient, captures: list[Capture]) -> None:
    before = instant(captures[0].at - MINUTE)
    assert get(client, "/api/v1/prices", at=before)["data"] == []
    answer = client.get(f"/api/v1/prices/{USED}?at={before}")
    assert (answer.status_code, "was not listed then" in answer.json["detail"]) == (404, True)


def test_a_time_may_be_given_in_any_zone(client: FlaskClient, captures: list[Capture]) -> None:
    at = captures[3].at
    utc = client.get(f"/api/v1/prices?at={instant(at)}").data
    for zoned in (f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}%2B02:00", f"{at:%Y-%m-%dT%H:%M:%S}+00:00"):
        assert client.get(f"/api/v1/prices?at={zoned}").data == utc


def test_a_base_price_that_an_open_window_hides_is_unknown(
    client: FlaskClient, captures: list[Capture]
) -> None:
    noon = instant(captures[2].at)
    night_flash = get(client, "/api/v1/prices/deepwell/night-flash", at=noon)
    assert night_flash["prices"]["prompt"] == {"state": "unknown", "unit": "token"}
    assert night_flash["in_force"]["prompt"]["per_token"] == "0.0000004"
    assert (night_flash["cost_band"], night_flash["flags"]["free"]) == ("unknown", False)


def test_an_answer_about_the_past_can_be_kept_and_checked_again(
    client: FlaskClient, captures: list[Capture]
) -> None:
    path = f"/api/v1/prices?at={instant(captures[1].at)}"
    plain_body, packed = client.get(path), client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain_body.data) / 4
    assert plain_body.headers["X-Price-Revision"] == str(plain_body.json["revision"])
    assert "X-Price-Age" not in plain_body.headers
    again = client.get(path, headers={"If-None-Match": plain_body.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


# A model's history


def test_a_models_intervals_follow_each_other_and_a_return_is_marked(client: FlaskClient) -> None:
    told = get(client, "/api/v1/prices/quarry/comes-and-goes/history")
    intervals = told["data"]
    assert [one["returned"] for one in intervals].count(True) >= 1
    for before, after in pairwise(intervals):
        assert before["valid_to"] is not None
        assert (before["valid_to"] < after["valid_from"]) == after["returned"]
    assert told["listed"] == (intervals[-1]["valid_to"] is None)
    assert (told["id"], told["currency"]) == ("quarry/comes-and-goes", "USD")


def test_a_model_that_is_gone_has_its_history_and_its_price_of_then(
    client: FlaskClient, captures: list[Capture]
) -> None:
    gone = next(
        entry["id"]
        for entry in get(client, "/api/v1/prices", at=instant(captures[0].at))["data"]
        if client.get(f"/api/v1/prices/{entry['id']}").status_code == 404
    )
    answer = client.get(f"/api/v1/prices/{gone}")
    assert answer.json["detail"].endswith("its history may know it")
    told = get(client, f"/api/v1/prices/{gone}/history")
    assert told["listed"] is False
    ended = datetime.fromisoformat(told["data"][-1]["valid_to"])
    assert (
        get(client, f"/api/v1/prices/{gone}", at=instant(ended - MINUTE))["valid_to"]
        == told["data"][-1]["valid_to"]
    )
    assert client.get(f"/api/v1/prices/{gone}?at={instant(ended)}").status_code == 404


# What a revision said


def test_a_revision_says_for_ever_what_was_served_then(site: Site, page_upstream: Standin) -> None:
    site.refresh()
    lists: list[dict[str, Any]] = [
        {"patch": {USED: {"pricing.prompt": "0.0000021"}}},
        {"patch": {USED: {"pricing.prompt": "0", "name": "Renamed"}}},  # which is held
        {"drop": [USED], "append": [model("brand/new")]},
        {"items": 10},  # which is held
        {},
    ]
    served = {}
    for change in (None, *lists):
        if change is not None:
            page_upstream.answer(**change) if change else page_upstream.clear()
            site.refresh(force=True)
        answer = site.client().get("/api/v1/prices")
        assert answer.headers["X-Price-Revision"] == str(answer.json["revision"])
        served[answer.json["revision"]] = answer.data
    assert list(served) == [1, 2, 3, 4, 5, 6]
    client = site.client()
    for revision, body in served.items():
        assert client.get(f"/api/v1/prices?revision={revision}").data == body
    assert len(set(served.values())) == 6


def test_what_is_held_is_served_as_before_in_both_shapes_and_said(site: Site, page_upstream: Standin) -> None:
    site.refresh()
    usual = get(site.client(), f"/api/v1/model/{USED}")
    page_upstream.answer(patch={USED: {"pricing.prompt": "0.0001", "description": "New words."}})
    assert site.refresh(force=True).held == 1
    client = site.client()
    assert get(client, f"/api/v1/model/{USED}")["data"] == usual["data"] | {"description": "New words."}
    told = get(client, f"/api/v1/prices/{USED}")
    assert told["prices"]["prompt"]["per_token"] == "0.000002"
    assert told["held"]["reason"] == "prompt would move from 0.000002 to 0.0001"
    assert told["held"]["prices"]["prompt"]["per_token"] == "0.0001"
    assert get(client, f"/api/v1/prices/{USED}", revision=1)["held"] is None

    site.refresh(force=True)
    client = site.client()
    assert get(client, f"/api/v1/model/{USED}")["data"]["pricing"]["prompt"] == "0.0001"
    now = get(client, f"/api/v1/prices/{USED}")
    assert (now["held"], now["valid_from"]) == (None, told["held"]["since"])


def test_a_revision_and_a_time_together_give_what_was_thought_then(
    client: FlaskClient, captures: list[Capture]
) -> None:
    raised = get(client, "/api/v1/changes", kind="raised,lowered", limit=1)["data"][0]
    path, at = f"/api/v1/prices/{raised['id']}", raised["at"]
    now = get(client, path, at=at)["prices"][raised["part"]]
    then = get(client, path, at=at, revision=raised["revision"] - 1)["prices"][raised["part"]]
    assert (now["per_token"], then["per_token"]) == (raised["after"], raised["before"])


# The feed


def follow(client: FlaskClient, since: int, **query: Any) -> Iterator[Any]:
    """Ask for changes page by page until there are no more."""
    while True:
        told = get(client, "/api/v1/changes", since=since, **query)
        yield from told["data"]
        assert told["next"] == (told["data"][-1]["cursor"] if told["data"] else since)
        since = told["next"]
        if not told["more"]:
            return


def test_the_feed_tells_what_changed_and_leaves_out_the_quiet_kinds(client: FlaskClient) -> None:
    told = list(follow(client, 0))
    assert {change["kind"] for change in told}.isdisjoint({"rounding", "attributes"})
    assert set(told[0]) == {"cursor", "id", "kind", "part", "before", "after", "at", "revision", "reverts"}
    assert told[0]["kind"] == "added"
    assert told[0]["after"]["prompt"]  # a model that comes is told with its schedule
    everything = list(follow(client, 0, kind="all"))
    kinds = {change["kind"] for change in everything}
    assert {"added", "removed", "returned", "raised", "lowered", "dimension_added", "rounding"} <= kinds
    assert [change for change in everything if change["kind"] not in ("rounding", "attributes")] == told
    assert any(change["reverts"] for change in everything)


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_page_by_page_the_feed_gives_each_change_once(limit: int, client: FlaskClient) -> None:
    whole = list(follow(client, 0, kind="all"))
    since = 0 if limit > 1 else whole[-30]["cursor"]
    paged = list(follow(client, since, kind="all", limit=limit))
    assert paged == [change for change in whole if change["cursor"] > since]
    assert [change["cursor"] for change in whole] == sorted({change["cursor"] for change in whole})


def test_the_feed_can_be_asked_by_kind_and_by_model(client: FlaskClient) -> None:
    whole = list(follow(client, 0, kind="all"))
    some = list(follow(client, 0, kind="removed,returned"))
    assert some == [change for change in whole if change["kind"] in ("removed", "returned")]
    of_one = list(follow(client, 0, kind="all", model="quarry/keys-come-and-go"))
    assert of_one == [change for change in whole if change["id"] == "quarry/keys-come-and-go"]
    assert {change["part"] for change in of_one} >= {"input_cache_read", "request", "image"}
    assert get(client, "/api/v1/changes", model="nobody/nothing") == {"data": [], "next": 0, "more": False}


def test_whoever_follows_the_feed_while_commits_go_on_sees_each_change_once(site: Site) -> None:
    services = Services.make(Settings.from_env(site.env))
    client, done, seen = site.client(), threading.Event(), []

    def commit_on() -> None:
        for number in range(1, 16):
            fill(services.engine, *(model(f"a/{slug}", prompt=number) for slug in range(number, number + 4)))
        done.set()

    with ThreadPoolExecutor(1) as pool:
        committing = pool.submit(commit_on)
        while True:
            ended = done.is_set()
            since = seen[-1] if seen else 0
            seen += [change["cursor"] for change in follow(client, since, kind="all", limit=3)]
            if ended:
                break
        committing.result(60)
    assert seen == [change["cursor"] for change in follow(client, 0, kind="all")]
    assert len(seen) == len(set(seen)) == 4 + 14 * 5
    services.engine.dispose()


# Errors, by name and status

WRONG = [
    ("/api/v1/prices?at=2026-08-06", 400, "at must be a time in ISO 8601 with its zone"),
    ("/api/v1/prices?at=2026-08-06T12:00:00", 400, "at must be a time in ISO 8601 with its zone"),
    ("/api/v1/prices?at=yesterday", 400, "at must be a time in ISO 8601 with its zone"),
    ("/api/v1/prices?at=", 400, "at must be a time in ISO 8601 with its zone"),
    ("/api/v1/prices?at=1785974400", 400, "at must be a time in ISO 8601 with its zone"),
    ("/api/v1/prices?at=0001-01-01T00:00:00%2B14:00", 400, "at must be a time in ISO 8601 with its zone"),
    ("/api/v1/prices?at=9999-12-31T23:59:59Z", 400, "at lies in the future"),
    ("/api/v1/prices?revision=0", 400, "revision must be a whole number from 1"),
    ("/api/v1/prices?revision=-1", 400, "revision must be a whole number from 1"),
    ("/api/v1/prices?revision=1.5", 400, "revision must be a whole number from 1"),
    ("/api/v1/prices?revision=", 400, "revision must be a whole number from 1"),
    ("/api/v1/prices?revision=99999999999999999999", 400, "revision must be a whole number from 1"),
    ("/api/v1/prices?revision=999999999", 404, "revision 999999999 is not there yet, the newest is "),
    (f"/api/v1/prices/{USED}?at=soon", 400, "at must be a time in ISO 8601 with its zone"),
    (f"/api/v1/prices/{USED}?revision=999999", 404, "revision 999999 is not there yet"),
    ("/api/v1/prices/nobody/nothing?revision=1", 404, "'nobody/nothing' was not listed then"),
    ("/api/v1/prices/%00?revision=1", 404, "'\\x00' was not listed then"),
    ("/api/v1/prices/nobody/nothing/history", 404, "there never was a model 'nobody/nothing'"),
    ("/api/v1/prices/a%00b/history", 404, "there never was a model 'a\\x00b'"),
    (f"/api/v1/prices/{USED}/history?at=x", 400, "unknown parameter 'at': this route takes none"),
    ("/api/v1/changes?since=-1", 400, "since must be a whole number from 0"),
    ("/api/v1/changes?since=x", 400, "since must be a whole number from 0"),
    ("/api/v1/changes?limit=0", 400, "limit must be a whole number from 1 to 1000"),
    ("/api/v1/changes?limit=1001", 400, "limit must be a whole number from 1 to 1000"),
    ("/api/v1/changes?kind=dearer", 400, "kind must be some of added, all, attributes, "),
    ("/api/v1/changes?kind=", 400, "kind must be some of"),
    (
        "/api/v1/changes?cursor=1",
        400,
        "unknown parameter 'cursor': this route takes since, limit, kind, model",
    ),
]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def asked(request: pytest.FixtureRequest, past: Site) -> Iterator[FlaskClient]:
    """An instance on either engine that has served a revision."""
    if request.param == "sqlite":
        request.getfixturevalue("captures")
        yield past.client()
        return
    with Site(Path(), past.upstream, DATABASE_URL=request.getfixturevalue("postgres_url")) as site:
        services = Services.make(Settings.from_env(site.env))
        fill(services.engine, model(USED))
        services.engine.dispose()
        yield site.client()


@pytest.mark.parametrize(("path", "status", "detail"), WRONG)
def test_what_cannot_be_answered_is_a_problem_that_names_what_was_wrong(
    path: str, status: int, detail: str, asked: FlaskClient
) -> None:
    answer = asked.get(path)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.json["detail"].startswith(detail)


@pytest.mark.parametrize("model_id", ["%00", "a%00b", "%ED%A0%80", "%F0%9F%A6%8A", "a" * 3000])
def test_a_feed_of_no_model_is_empty_whatever_it_is_called(model_id: str, asked: FlaskClient) -> None:
    assert get(asked, f"/api/v1/changes?model={model_id}")["data"] == []


def test_an_empty_catalogue_has_no_past(site: Site) -> None:
    client = site.client()
    now = instant(datetime.fromisoformat("2025-01-01T00:00:00+00:00"))
    assert get(client, "/api/v1/prices", at=now) == {"revision": 0, "currency": "USD", "data": []}
    assert get(client, "/api/v1/changes") == {"data": [], "next": 0, "more": False}
    assert client.get("/api/v1/prices?revision=1").status_code == 404


# Bounds


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Let questions stand still once they have the database; give how many do."""
    goes, standing = threading.Event(), []

    def state(_connection: Connection) -> None:
        standing.append(threading.current_thread())
        goes.wait(30)

    monkeypatch.setattr("web.questions.require_schema", state)
    monkeypatch.setattr("web.questions.ANSWER_SECONDS", 0.4)
    yield lambda: len(standing)
    goes.set()
    for thread in standing:
        thread.join(10)


def test_a_question_that_hangs_is_given_up_and_more_than_two_are_not_begun(
    site: Site, held_up: Callable[[], int]
) -> None:
    site.refresh()
    client = site.client()
    client.get("/api/v1/prices")
    for number in (1, 2):
        hung = client.get("/api/v1/changes")
        assert (hung.status_code, hung.headers["Retry-After"]) == (503, "5")
        assert hung.json["detail"] == "the database did not answer in time"
        assert held_up() == number
    for path in ("/api/v1/changes", f"/api/v1/prices/{USED}?revision=1", f"/api/v1/prices/{USED}/history"):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json["detail"] == "too many ask for the past at once"
    assert held_up() == 2
    began = time.monotonic()
    for path in ("/api/v1/prices", f"/api/v1/prices/{USED}", "/api/v1/models", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200
    assert time.monotonic() - began < 5


def test_when_the_database_goes_on_questions_are_answered_again(site: Site, monkeypatch: Any) -> None:
    site.refresh()
    client = site.client()
    with monkeypatch.context() as patched:
        patched.setattr("web.questions.require_schema", lambda _connection: time.sleep(0.5))
        patched.setattr("web.questions.ANSWER_SECONDS", 0.1)
        assert [client.get("/api/v1/changes").status_code for _ in range(3)] == [503] * 3
    time.sleep(0.6)
    assert [client.get("/api/v1/changes").status_code for _ in range(3)] == [200] * 3


def test_a_database_that_never_says_a_word_is_a_503_within_the_bound(site: Site) -> None:
    with TinyServer(lambda _connection: time.sleep(20)) as silent:
        client = site.client(DATABASE_URL=f"postgres://u:hunter2@127.0.0.1:{silent.port}/db")
        began = time.monotonic()
        answer = client.get("/api/v1/changes")
        assert time.monotonic() - began < 8
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "hunter2" not in answer.text


def test_with_a_schema_that_is_behind_questions_are_a_503(site: Site, tmp_path: Path) -> None:
    answer = site.client(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3").get("/api/v1/changes")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
