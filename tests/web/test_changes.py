"""`/api/v1/changes`: every change once, in order, whoever asks and however often."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from prices.runtime.settings import Settings
from prices.services import Services
from tests.support.ledger import fill
from tests.support.lists import model
from tests.support.past import get
from tests.support.site import Site


@pytest.fixture(scope="module")
def client(past: Site) -> FlaskClient:
    return past.client()


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


def test_there_are_more_changes_only_where_some_are_left(client: FlaskClient) -> None:
    whole = get(client, "/api/v1/changes", kind="all", limit=1000)["data"]
    assert get(client, "/api/v1/changes", kind="all", limit=len(whole))["more"] is False
    assert get(client, "/api/v1/changes", kind="all", limit=len(whole) - 1)["more"] is True
