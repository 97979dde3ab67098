"""The formats of clients over HTTP: at their exact addresses, packed, validated and dated as lists are."""

import json
from collections.abc import Iterator

import pytest
import requests
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.formats.registry import FORMATS
from tests.support.site import Site
from tests.web.test_responses import ENCODINGS, get, unpacked
from web import published, responses

PATHS = [form.path for form in FORMATS]


@pytest.fixture(scope="module")
def filled(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose Redis is away: what is served comes from the database."""
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("formats"), page_upstream) as site:
        site.refresh()
        yield site


@pytest.fixture(scope="module")
def client(filled: Site) -> FlaskClient:
    return filled.client()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_each_format_is_served_before_flask_is_asked(
    form: published.Source, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.application, "full_dispatch_request", lambda: pytest.fail("Flask was asked"))
    bodies = set()
    for encoding in ENCODINGS:
        answer = get(client, form.path, Accept_Encoding=encoding)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, form.media_type)
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        assert answer.headers["X-Price-Revision"] == "1"
        assert int(answer.headers["X-Price-Age"]) >= 0
        assert answer.headers["Cache-Control"] == responses.CACHE_CONTROL
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        bodies.add(unpacked(answer))
        again = get(client, form.path, Accept_Encoding=encoding, If_None_Match=answer.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
        head = client.head(form.path, headers={"Accept-Encoding": encoding})
        assert (head.data, head.headers["ETag"]) == (b"", answer.headers["ETag"])
        assert head.headers["Content-Length"] == answer.headers["Content-Length"]
    assert len(bodies) == 1


@pytest.mark.parametrize("path", PATHS)
def test_a_query_changes_nothing_and_nothing_can_be_sent(path: str, client: FlaskClient) -> None:
    assert get(client, f"{path}?v=3").data == get(client, path).data
    assert get(client, f"{path}?v=3").headers["Content-Type"] == get(client, path).headers["Content-Type"]
    refused = client.post(path, data=b"{}")
    assert (refused.status_code, refused.content_type) == (405, "application/problem+json")
    assert (
        get(client, f"{path}/").status_code == 404 or get(client, f"{path}/").data == get(client, path).data
    )


def test_what_is_served_is_upstreams_list(client: FlaskClient, filled: Site) -> None:
    listed = requests.get(f"{filled.upstream.base_url}/models", timeout=10).json()["data"]
    map_ = json.loads(get(client, "/litellm.json").data)
    for row in listed:
        if "-1" in row["pricing"].values():
            assert f"openrouter/{row['id']}" not in map_
        elif not row["pricing"].get("overrides"):
            if row["pricing"].get("request", "0") not in ("0", "-0"):
                assert f"openrouter/{row['id']}" not in map_
            else:
                price = map_[f"openrouter/{row['id']}"]["input_cost_per_token"]
                assert price == float(row["pricing"]["prompt"])
    assert len(map_) > len(listed) / 2


def test_before_the_first_refresh_each_format_is_whole_and_not_to_be_kept(site: Site) -> None:
    client = site.client()
    for form in FORMATS:
        answer = get(client, form.path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, form.media_type)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Price-Revision"] == "0"
    assert json.loads(get(client, "/litellm.json").data) == {}


def test_an_unready_catalogue_is_a_problem(site: Site) -> None:
    client = site.client(DATABASE_URL="postgres://u:p@127.0.0.1:1/db")
    for path in PATHS:
        assert get(client, path).status_code == 503


def test_a_format_is_made_ready_when_it_is_first_asked_for(client: FlaskClient) -> None:
    layer = client.application.wsgi_app
    layer._made = None
    get(client, "/api/v1/models", Accept_Encoding="gzip")
    assert set(layer._made[1]) == {("/api/v1/models", "gzip")}
