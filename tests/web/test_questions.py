"""Questions to the database: what is wrong is named, and one that hangs holds up nothing else."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, text

from local.standin.client import Standin
from prices.runtime.settings import Settings
from prices.services import Services
from tests.support.checkout import wait_until
from tests.support.ledger import fill
from tests.support.lists import model
from tests.support.past import USED, get, instant
from tests.support.site import Site
from tests.support.tiny_server import Freezing, TinyServer

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


NO_MODELS = ("%00", "a%00b", "%ED%A0%80", "%F0%9F%A6%8A", "a" * 3000)


def check_refusal(client: FlaskClient, path: str, status: int, detail: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), path
    assert answer.json["detail"].startswith(detail)


@pytest.mark.parametrize(("path", "status", "detail"), WRONG)
def test_what_cannot_be_answered_is_a_problem_that_names_what_was_wrong(
    path: str, status: int, detail: str, past: Site
) -> None:
    check_refusal(past.client(), path, status, detail)


@pytest.mark.parametrize("model_id", NO_MODELS)
def test_a_feed_of_no_model_is_empty_whatever_it_is_called(model_id: str, past: Site) -> None:
    assert get(past.client(), f"/api/v1/changes?model={model_id}")["data"] == []


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_on_postgresql_the_same_questions_are_refused_with_the_same_words(
    database_url: str, tmp_path: Path, page_upstream: Standin
) -> None:
    with Site(tmp_path, page_upstream, DATABASE_URL=database_url) as site:
        services = Services.make(Settings.from_env(site.env))
        fill(services.engine, model(USED))
        services.engine.dispose()
        client = site.client()
        for path, status, detail in WRONG:
            check_refusal(client, path, status, detail)
        for model_id in NO_MODELS:
            assert get(client, f"/api/v1/changes?model={model_id}")["data"] == []


def test_an_empty_catalogue_has_no_past(site: Site) -> None:
    client = site.client()
    then = instant(datetime(2025, 1, 1, tzinfo=UTC))
    assert get(client, "/api/v1/prices", at=then) == {"revision": 0, "currency": "USD", "data": []}
    assert get(client, "/api/v1/changes") == {"data": [], "next": 0, "more": False}
    assert client.get("/api/v1/prices?revision=1").status_code == 404


# Bounds


class Standstill:
    """Questions that stand still, once they have the database, until they are let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.standing: list[threading.Thread] = []

    def __call__(self, _connection: Connection) -> None:
        self.standing.append(threading.current_thread())
        self.let_go.wait(30)


@pytest.fixture
def standstill(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standstill]:
    still = Standstill()
    monkeypatch.setattr("web.questions.require_schema", still)
    monkeypatch.setattr("web.questions.ANSWER_SECONDS", 0.4)
    yield still
    still.let_go.set()
    for thread in still.standing:
        thread.join(10)


def test_a_question_that_hangs_is_given_up_and_more_than_two_are_not_begun(
    site: Site, standstill: Standstill
) -> None:
    site.refresh()
    client = site.client()
    client.get("/api/v1/prices")
    for number in (1, 2):
        hung = client.get("/api/v1/changes")
        assert (hung.status_code, hung.headers["Retry-After"]) == (503, "5")
        assert hung.json["detail"] == "the database did not answer in time"
        wait_until(lambda number=number: len(standstill.standing) == number)
    for path in ("/api/v1/changes", f"/api/v1/prices/{USED}?revision=1", f"/api/v1/prices/{USED}/history"):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json["detail"] == "too many ask for the past at once"
    assert len(standstill.standing) == 2
    for path in ("/api/v1/prices", f"/api/v1/prices/{USED}", "/api/v1/models", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200  # from memory

    standstill.let_go.set()
    for path in ("/api/v1/changes", f"/api/v1/prices/{USED}?revision=1", f"/api/v1/prices/{USED}/history"):
        wait_until(lambda path=path: client.get(path).status_code == 200)


def test_a_database_that_never_says_a_word_is_a_503_within_the_bound(site: Site) -> None:
    with TinyServer(lambda _connection: time.sleep(20)) as silent:
        client = site.client(DATABASE_URL=f"postgres://u:hunter2@127.0.0.1:{silent.port}/db")
        began = time.monotonic()
        answer = client.get("/api/v1/changes")
        assert time.monotonic() - began < 8
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_questions_that_a_database_took_and_never_answers_make_way_once_they_are_given_up(
    database_url: str, tmp_path: Path, page_upstream: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(database_url)
    wire = Freezing(f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432")
    monkeypatch.setattr("web.questions.ANSWER_SECONDS", 0.8)
    proxied = f"postgres://postgres@127.0.0.1:{wire.server.port}{parts.path}"
    with (
        wire.server,
        Site(tmp_path, page_upstream, DATABASE_URL=database_url) as site,
        ThreadPoolExecutor(2) as pool,
    ):
        client = site.client(DATABASE_URL=proxied)
        taken = threading.Barrier(3)

        def stop_the_wire(connection: Connection) -> None:
            """Hang in the database, as the proxy holds what it would answer."""
            taken.wait(10)
            taken.wait(10)
            connection.execute(text("SELECT 1"))

        with monkeypatch.context() as patch:
            patch.setattr("web.questions.require_schema", stop_the_wire)
            asked = [pool.submit(client.get, "/api/v1/changes") for _ in range(2)]
            taken.wait(10)
            wire.freeze()
            taken.wait(10)
            assert [one.result(10).status_code for one in asked] == [503, 503]
        wire.thaw()
        answer = client.get("/api/v1/changes")
        assert (answer.status_code, answer.json) == (200, {"data": [], "next": 0, "more": False})


def test_where_no_thread_can_be_started_questions_are_refused_and_asked_again_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = site.client()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        refused = [client.get("/api/v1/changes") for _ in range(3)]
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in refused} == {(503, "5")}
    assert client.get("/api/v1/changes").status_code == 200


def test_while_every_store_hangs_no_number_of_clients_makes_more_threads_than_a_few(site: Site) -> None:
    """Two questions about the past, four looks for news, four checks of each store's health."""
    with TinyServer(lambda _connection: time.sleep(20)) as silent:
        client = site.client(
            DATABASE_URL=f"postgres://u@127.0.0.1:{silent.port}/db",
            REDIS_URL=f"redis://127.0.0.1:{silent.port}/0",
        )
        most = 0
        stop = threading.Event()

        def ask(path: str) -> None:
            status = 200 if path == "/health" else 503  # a database is called down after more than 4 s
            while not stop.is_set():
                assert client.get(path).status_code == status

        paths = ("/readyz", "/health", "/api/v1/prices", "/api/v1/changes") * 4
        with ThreadPoolExecutor(len(paths)) as pool:
            asking = [pool.submit(ask, path) for path in paths]
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:
                most = max(most, sum(thread.name == "background" for thread in threading.enumerate()))
                time.sleep(0.02)
            stop.set()
            assert [one.exception() for one in asking] == [None] * len(paths)
    assert 2 <= most <= 2 + 4 + 4 + 4


def test_with_a_schema_that_is_behind_questions_are_a_503(site: Site, tmp_path: Path) -> None:
    answer = site.client(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3").get("/api/v1/changes")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
