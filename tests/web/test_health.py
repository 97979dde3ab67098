"""Health for load balancers, as the contract has it: lives, can answer, and how the whole is."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from local.redis_server import RedisServer
from local.standin.client import Standin
from prices.errors import DatabaseFullError
from prices.store.database import make_engine, writing
from tests.support.ports import free_port
from tests.support.site import Site
from web.health import get_health_check_data

NOWHERE = "postgres://u:hunter2@127.0.0.1:1/db"


def status(client: FlaskClient, path: str) -> tuple[int, Any]:
    answer = client.get(path)
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.json


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", port=free_port(), persistent=False) as server:
        yield server


def test_a_process_that_lives_says_so_whatever_is_away(site: Site) -> None:
    assert status(site.client(DATABASE_URL=NOWHERE), "/healthz") == (200, {"status": "alive"})


def test_an_empty_catalogue_is_ready(site: Site) -> None:
    assert status(site.client(), "/readyz") == (200, {"status": "ready", "revision": 0, "age_seconds": None})


def test_with_redis_down_an_instance_is_ready_from_the_database(site: Site) -> None:
    site.refresh()
    code, told = status(site.client(), "/readyz")
    assert (code, told["status"], told["revision"]) == (200, "ready", 1)
    assert 0 <= told["age_seconds"] < 60


@pytest.mark.process
def test_with_the_database_down_an_instance_is_ready_from_redis(site: Site, own_redis: RedisServer) -> None:
    site.env["REDIS_URL"] = own_redis.url
    site.refresh()
    assert status(site.client(DATABASE_URL=site.lost_database()), "/readyz")[0] == 200


def test_with_a_database_that_nobody_has_seen_an_instance_does_not_serve_what_is_in_redis(
    site: Site, own_redis: RedisServer
) -> None:
    site.env["REDIS_URL"] = own_redis.url
    site.refresh()
    assert status(site.client(DATABASE_URL=NOWHERE), "/readyz")[0] == 503


def test_without_any_store_and_nothing_in_memory_an_instance_is_not_ready(site: Site) -> None:
    code, told = status(site.client(DATABASE_URL=NOWHERE), "/readyz")
    assert (code, told["status"]) == (503, "unready")
    assert "hunter2" not in told["reason"]


def test_with_a_schema_that_is_behind_an_instance_is_not_ready(site: Site, tmp_path: Path) -> None:
    code, told = status(site.client(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3"), "/readyz")
    assert code == 503
    assert "deploy_migrations.py" in told["reason"]


def test_an_instance_that_has_answered_stays_ready_when_every_store_goes(site: Site, tmp_path: Path) -> None:
    site.refresh()
    client = site.client()
    assert status(client, "/readyz")[0] == 200
    database = tmp_path / "prices.sqlite3"
    database.rename(tmp_path / "away")
    assert status(client, "/readyz")[0] == 200


def test_an_instance_stays_ready_beside_a_later_schema(site: Site) -> None:
    from sqlalchemy import text

    engine = make_engine(site.env["DATABASE_URL"])
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '20990101_01'"))
    engine.dispose()
    assert status(site.client(), "/readyz")[0] == 200


def test_the_report_tells_every_part_and_redis_down_is_degraded(site: Site) -> None:
    site.refresh()
    code, told = status(site.client(), "/health")
    assert (code, told["status"]) == (200, "degraded")
    assert {"database", "redis", "worker", "beat", "prices", "status"} <= set(told)
    assert {"age_seconds", "revision", "last_run", "next_run"} <= set(told["prices"])


def test_prices_of_a_time_well_ahead_are_of_unknown_age(site: Site) -> None:
    site.refresh()
    site.confirm_ahead(timedelta(days=3))
    client = site.client()
    assert status(client, "/readyz") == (200, {"status": "ready", "revision": 1, "age_seconds": None})
    told = status(client, "/health")[1]
    assert (told["prices"]["status"], told["prices"]["age_seconds"]) == ("stale", None)
    assert (told["instance"]["status"], told["instance"]["age_seconds"]) == ("ok", None)


def test_the_report_without_the_database_is_unhealthy(site: Site) -> None:
    code, told = status(site.client(DATABASE_URL=NOWHERE), "/health")
    assert (code, told["status"], told["database"]["status"]) == (503, "unhealthy", "down")
    assert "hunter2" not in repr(told)


def test_the_function_tells_what_the_route_tells(site: Site) -> None:
    site.refresh()
    client = site.client()
    told = status(client, "/health")[1]
    with client.application.app_context():
        said = get_health_check_data()
    assert told["prices"]["revision"] == said["prices"]["revision"] == 1
    assert set(told) == set(said)


def test_outside_an_application_the_function_tells_of_the_environments_stores(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.refresh()
    for name, value in site.env.items():
        monkeypatch.setenv(name, value)
    assert get_health_check_data()["prices"]["revision"] == 1


@pytest.mark.process
def test_probes_share_a_report_for_a_second(
    site: Site, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = site.client(REDIS_URL=own_redis.url)
    made: list[int] = []

    def report(_reporter: object) -> dict[str, Any]:
        made.append(1)
        return {"status": "healthy", "number": len(made)}

    now = 1000.0
    monkeypatch.setattr("prices.operations.shared_report.SharedReporter.report", report)
    monkeypatch.setattr("web.context.time.monotonic", lambda: now)
    assert [status(client, "/health")[1]["number"] for _ in range(3)] == [1, 1, 1]
    now += 1
    assert status(client, "/health")[1]["number"] == 2


@pytest.mark.process
def test_instances_share_a_report_and_each_tells_what_it_serves_itself(
    site: Site, own_redis: RedisServer
) -> None:
    site.env["REDIS_URL"] = own_redis.url
    site.refresh()
    one, two = site.client(), site.client()
    first = status(one, "/health")[1]
    site.refresh(force=True)
    second = status(two, "/health")[1]
    assert second["at"] == first["at"]
    assert second["prices"]["last_run"]["run_id"] == first["prices"]["last_run"]["run_id"] == 1
    assert first["instance"].keys() == {"status", "revision", "age_seconds"}
    assert second["instance"]["age_seconds"] < first["instance"]["age_seconds"]


def test_an_instance_that_can_serve_nothing_says_so_in_the_report(site: Site) -> None:
    told = status(site.client(DATABASE_URL=NOWHERE), "/health")[1]["instance"]
    assert told["status"] == "down"
    assert "hunter2" not in repr(told)


def test_a_database_that_allows_no_more_connections_is_degraded_and_no_instance_is_drained_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object) -> None:
        raise DatabaseFullError("the database allows no more connections at the moment")

    client = site.client()
    monkeypatch.setattr("prices.store.queries.require_schema", refuse)
    code, told = status(client, "/health")
    assert (code, told["status"], told["database"]["status"]) == (200, "degraded", "full")


def test_nothing_is_asked_of_upstream_by_any_of_them(site: Site, page_upstream: Standin) -> None:
    page_upstream.forget()
    client = site.client()
    for path in ("/healthz", "/readyz", "/health", "/api/v1/models", "/api/v1/prices"):
        assert client.get(path).status_code == 200
    assert page_upstream.requests()["received"] == 0
