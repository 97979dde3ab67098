"""The page's own files: those that are there, by name and version, and nothing else of this machine."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.runtime.settings import ROOT
from tests.support.site import Site
from tests.web.wire import Wire

STATIC = ROOT / "web" / "static"
NAMES = sorted(file.name for file in STATIC.iterdir())
UP = "../" * 30
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "get", "options"]


@pytest.fixture(scope="module")
def site(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("static"), page_upstream) as site:
        site.refresh()
        yield site


@pytest.fixture(scope="module")
def client(site: Site) -> FlaskClient:
    return site.client()


@pytest.fixture(scope="module")
def wire(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with Wire(site, tmp_path_factory.mktemp("wire")) as wire:
        yield wire


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_the_page_is_kept_for_ever_by_its_version_only(name: str, client: FlaskClient) -> None:
    content = (STATIC / name).read_bytes()
    (address,) = set(re.findall(rf'(?:href|src)="(/static/{name}\?v=\w+)"', client.get("/").text))
    kept = client.get(address)
    assert (kept.status_code, kept.data) == (200, content)
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    for other in (f"{address}0", f"/static/{name}", f"/static/{name}?v="):
        again = client.get(other, headers={"If-None-Match": kept.headers["ETag"]})
        assert (again.status_code, again.headers["Cache-Control"]) == (304, "no-cache")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_the_page_says_what_it_is_and_which_methods_it_takes(
    name: str, client: FlaskClient
) -> None:
    kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    answer = client.get(f"/static/{name}")
    assert answer.content_type == f"{kinds[Path(name).suffix]}; charset=utf-8"
    options = client.options(f"/static/{name}")
    assert (options.status_code, options.data) == (200, b"")
    assert {one.strip() for one in options.headers["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method", METHODS)
def test_no_method_tells_whether_another_file_is_there(method: str, wire: Wire, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    os.mkfifo(tmp_path / "fifo")
    paths = [secret, tmp_path / "absent", tmp_path / "fifo", tmp_path, Path("/dev/zero"), Path("/etc/passwd")]
    seen = set()
    for path in paths:
        for target in (f"/static/{UP}{path}", f"/static/{path}", f"/static/%2e%2e%2f{'%2e%2e/' * 30}{path}"):
            for query in ("", "?v=", "?v=f52fbd32b2b3"):
                answer = wire.send(f"{target}{query}", method)
                seen.add((answer.status, answer.headers.get("allow")))
                assert b"hunter2" not in answer.body
    assert seen == {(404, None)}


def test_names_that_are_not_there_leave_nothing_behind(wire: Wire) -> None:
    for number in range(50):
        wire.send(f"/static/{UP}dev/zero?v={number}", "OPTIONS")
    before = wire.resident_kib()
    for number in range(2000):
        assert wire.send(f"/static/{number}{'x' * 2000}", "OPTIONS").status == 404
    assert wire.resident_kib() - before < 2048
    assert wire.send("/healthz").status == 200
