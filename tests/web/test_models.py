"""`/api/v1/models`: OpenRouter's own clients take it as OpenRouter, from the Procfile's own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.runtime.settings import ROOT
from tests.support.checkout import wait_until
from tests.support.ports import free_port
from tests.support.site import Site


@pytest.fixture(scope="module")
def filled(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("models"), page_upstream) as site:
        site.refresh()
        yield site


@pytest.fixture(scope="module")
def client(filled: Site) -> FlaskClient:
    return filled.client()


@pytest.fixture(scope="module")
def upstream(filled: Site) -> Any:
    """What upstream itself answers."""
    return requests.get(f"{filled.upstream.base_url}/models", timeout=10).json()


@pytest.fixture(scope="module")
def address(filled: Site) -> Iterator[str]:
    """A real web process, started by the Procfile's own line."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = (
        os.environ
        | filled.env
        | {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "1", "PATH": path}
    )
    process = subprocess.Popen(
        ["sh", "-c", f"exec {lines['web']}"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=1).ok
        except requests.RequestException:
            return False

    try:
        wait_until(answers)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_the_list_is_upstreams_own_value_in_upstreams_order(client: FlaskClient, upstream: Any) -> None:
    answer = client.get("/api/v1/models")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.json == upstream
    assert [row["id"] for row in answer.json["data"]] == [row["id"] for row in upstream["data"]]


def test_each_model_is_upstreams_bytes(client: FlaskClient, filled: Site, upstream: Any) -> None:
    raw = requests.get(f"{filled.upstream.base_url}/models", timeout=10).content
    rows = json.loads(raw)["data"]
    ours = client.get("/api/v1/models").data
    for row in rows[:5]:
        text = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
        assert text in raw
        assert text in ours


@pytest.mark.parametrize(
    ("offset", "limit"), [(0, 1), (0, 7), (7, 7), (50, 500), (56, 4), (57, 1), (0, 1000), (999, 5)]
)
def test_a_page_is_a_slice_of_the_whole_with_the_link_to_the_next(
    offset: int, limit: int, client: FlaskClient, upstream: Any
) -> None:
    page = client.get(f"/api/v1/models?offset={offset}&limit={limit}").json
    rows = upstream["data"]
    more = f"/api/v1/models?offset={offset + limit}&limit={limit}" if offset + limit < len(rows) else None
    assert page["data"] == rows[offset : offset + limit]
    assert (page["total_count"], page["links"]["next"]) == (len(rows), more)


def test_the_pages_linked_to_one_another_are_the_whole(client: FlaskClient, upstream: Any) -> None:
    seen: list[Any] = []
    following: str | None = "/api/v1/models?limit=13"
    while following:
        page = client.get(following).json
        seen += page["data"]
        following = page["links"]["next"]
    assert seen == upstream["data"]


def test_one_parameter_alone_has_the_default_of_the_other(client: FlaskClient, upstream: Any) -> None:
    assert client.get("/api/v1/models?limit=2").json["data"] == upstream["data"][:2]
    assert client.get("/api/v1/models?offset=50").json["data"] == upstream["data"][50:]


@pytest.mark.parametrize(
    "query",
    [
        "offset=-1", "offset=x", "offset=", "offset=1.5", "offset=1e3", "offset=%2B1", "offset=9999999999",
        "offset=%D9%A3", "limit=0", "limit=1001", "limit=-5", "limit=", "limit=all", "limit=1%00",
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_is_refused_in_openrouters_shape_by_its_name(
    query: str, client: FlaskClient
) -> None:
    answer = client.get(f"/api/v1/models?{query}")
    assert answer.status_code == 400
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"error"}
    assert answer.json["error"]["code"] == 400
    assert query.split("=")[0] in answer.json["error"]["message"]


def test_every_model_can_be_had_alone(client: FlaskClient, upstream: Any) -> None:
    for row in upstream["data"]:
        answer = client.get(f"/api/v1/model/{row['id']}")
        assert answer.status_code == 200, row["id"]
        assert answer.json == {"data": row}


@pytest.mark.parametrize(
    "model_id",
    [
        "nobody/nothing",
        "x",
        "a/b/c",
        "%00",
        "%FF%FE",
        "%ED%A0%80",
        "..%2F..%2Fetc",
        "%3Cscript%3E",
        "a" * 3000,
    ],
)
def test_a_model_that_is_not_there_is_a_404_in_openrouters_shape(model_id: str, client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/model/{model_id}")
    assert answer.status_code == 404
    assert answer.content_type == "application/json"
    assert answer.json["error"]["code"] == 404
    assert len(answer.json["error"]["message"]) < 400


# Over the wire


def test_the_process_answers_the_same_over_the_wire(address: str, upstream: Any) -> None:
    answer = requests.get(f"{address}/api/v1/models", timeout=10)
    assert answer.json() == upstream
    assert answer.headers["Content-Encoding"] in ("br", "gzip")
    plain = requests.get(f"{address}/api/v1/models", headers={"Accept-Encoding": "identity"}, timeout=10)
    assert "Content-Encoding" not in plain.headers
    assert plain.content == answer.content
    assert len(plain.content) == int(plain.headers["Content-Length"])
    again = requests.get(
        f"{address}/api/v1/models", headers={"If-None-Match": answer.headers["ETag"]}, timeout=10
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/models?limit=1", "/healthz", "/nothing"])
def test_head_tells_the_length_and_sends_no_body_over_the_wire(path: str, address: str) -> None:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=10)
    lengths = []
    for method in ("HEAD", "GET"):
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        lengths.append(int(answer.headers["Content-Length"]))
        assert len(body) == (0 if method == "HEAD" else lengths[-1])
    assert lengths[0] == lengths[1]
    connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/model/%ED%A0%80",
        "/api/v1/model/%00%FF",
        "/api/v1/models?limit=%FF",
        "/%2e%2e/%2e%2e/x",
        "//x//y",
    ],
)
def test_an_odd_address_is_an_error_of_the_client_over_the_wire(path: str, address: str) -> None:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    assert 300 <= answer.status < 500
    connection.close()


def test_the_openai_client_lists_the_models(address: str, upstream: Any) -> None:
    from openai import OpenAI

    with OpenAI(base_url=f"{address}/api/v1", api_key="none", max_retries=0) as openai:
        assert [row.id for row in openai.models.list()] == [row["id"] for row in upstream["data"]]


def test_the_openrouter_client_takes_us_for_openrouter(address: str, upstream: Any) -> None:
    from openrouter import OpenRouter

    with OpenRouter(server_url=f"{address}/api/v1", api_key="none") as client:
        seen = []
        answer = client.models.list(offset=0, limit=25)
        while answer is not None:
            seen += [row.id for row in answer.result.data]
            answer = answer.next()
        assert seen == [row["id"] for row in upstream["data"]]
        author, slug = "lumenforge", "aurora-5:free"
        assert client.models.get(author=author, slug=slug).data.id == f"{author}/{slug}"


def test_the_openrouter_client_understands_our_errors(address: str) -> None:
    from openrouter import OpenRouter
    from openrouter.errors import NotFoundResponseError

    with (
        OpenRouter(server_url=f"{address}/api/v1", api_key="none") as client,
        pytest.raises(NotFoundResponseError, match="there is no model 'nobody/nothing'"),
    ):
        client.models.get(author="nobody", slug="nothing")
