"""Prices of the past over HTTP: at a time, by a revision, by both, and as intervals."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.refresh.replay import Capture, captures_in
from tests.support.captures import RECORDED, agree
from tests.support.lists import model
from tests.support.past import USED, get, in_force, instant, load
from tests.support.site import Site

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def client(past: Site) -> FlaskClient:
    return past.client()


# At a time


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
    capture = captures_in(RECORDED)[-1]
    with Site(tmp_path, page_upstream) as site:
        load(site, [capture])
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


def test_a_search_in_the_past_looks_at_the_name_too(client: FlaskClient) -> None:
    listed = get(client, "/api/v1/prices", revision=2)["data"]
    named = next(entry for entry in listed if entry["name"].split()[-1].casefold() not in entry["id"])
    found = get(client, "/api/v1/prices", revision=2, q=named["name"].upper())["data"]
    assert named["id"] in [entry["id"] for entry in found]
