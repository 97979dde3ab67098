"""Errors in the two shapes that clients take."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from tests.support.site import Site

OPENROUTER = ["/api/v1/models?limit=x", "/api/v1/model/no/thing"]
PROBLEMS = [
    "/nothing",
    "/api/v1/nothing",
    "/api/v1/prices/no/thing",
    "/api/v1/prices?x=1",
    "/static/nothing.css",
]


@pytest.fixture(scope="module")
def client(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    with Site(tmp_path_factory.mktemp("errors"), page_upstream) as site:
        yield site.client()


@pytest.mark.parametrize("path", OPENROUTER)
def test_where_we_stand_in_for_openrouter_errors_are_openrouters(path: str, client: FlaskClient) -> None:
    answer = client.get(path)
    assert answer.content_type == "application/json"
    assert answer.json == {"error": {"code": answer.status_code, "message": answer.json["error"]["message"]}}
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", PROBLEMS)
def test_everywhere_else_they_are_problem_details(path: str, client: FlaskClient) -> None:
    answer = client.get(path)
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail"}
    assert answer.json["status"] == answer.status_code
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/prices", "/healthz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_method_that_is_not_allowed_says_which_are(path: str, method: str, client: FlaskClient) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 405
    assert {"GET", "HEAD"} <= {one.strip() for one in answer.headers["Allow"].split(",")}
    assert answer.is_json or answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/api/v1/models", "/api/v1/model/a/b", "/api/v1/prices", "/api/v1/prices/a/b"]
)
def test_without_any_prices_to_be_had_it_is_a_503_that_says_no_secret(path: str, site: Site) -> None:
    answer = site.client(DATABASE_URL="postgres://u:hunter2@127.0.0.1:1/db").get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "no prices can be had" in answer.text
    assert "127.0.0.1" not in answer.text
    assert "hunter2" not in answer.text


def test_without_the_database_only_the_past_cannot_be_asked(site: Site, redis_url: str) -> None:
    site.env["REDIS_URL"] = redis_url
    site.refresh()
    client = site.client(DATABASE_URL=site.lost_database())
    assert client.get("/api/v1/prices").status_code == 200
    for path in ("/api/v1/prices?revision=1", "/api/v1/changes", "/api/v1/prices/a/b/history"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json["detail"] == "only the database knows this, and it cannot be asked at the moment"


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/prices"])
def test_an_error_that_nobody_foresaw_is_a_500_without_its_text(
    path: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr("web.api.models.current_snapshot", fail)
    monkeypatch.setattr("web.api.prices.current_snapshot", fail)
    answer = client.get(path)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", [*OPENROUTER, *PROBLEMS])
def test_errors_have_the_security_headers_too(path: str, client: FlaskClient) -> None:
    assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", [*OPENROUTER, *PROBLEMS])
def test_no_cache_keeps_an_error(path: str, client: FlaskClient) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("text", ["%0D%0ASet-Cookie:x=1", "%00", "%ED%A0%80", "%3Cscript%3E"])
def test_what_the_client_sent_comes_back_harmless(text: str, client: FlaskClient) -> None:
    for path in (f"/api/v1/model/{text}", f"/api/v1/prices?{text}=1", f"/api/v1/models?limit={text}"):
        answer = client.get(path)
        assert 400 <= answer.status_code < 500
        assert "Set-Cookie" not in answer.headers
        assert answer.content_type.endswith("json")
