"""What is odd is served as it was until upstream has said it twice, and everyone can see that it is held."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select, update

from local.standin.client import Standin
from prices.catalogue.guards import Guards
from prices.errors import DatabaseUnavailableError
from prices.history import read
from prices.published.make import make_publication
from prices.published.snapshot import Snapshot
from prices.refresh.commit import Counts
from prices.refresh.outcome import Refresh, RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.services import Services
from prices.store.database import reading, writing
from prices.store.queries import catalogue_state, holds
from prices.store.tables import catalogue, price_holds, refresh_runs
from tests.support.ledger import fill
from tests.support.lists import model

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

GIFT, PAID, OTHER = model("a/gift:free", "0", "0"), model("a/paid", "1", "1"), model("a/other", "1", "1")
USUAL = (GIFT, PAID, OTHER)
FREE_NOW = model("a/paid", "0", "1")


def hear(engine: Engine, *models: Any, hours: float = 0) -> Counts:
    """Let upstream say a list, so many hours after noon, to a catalogue that is guarded."""
    return fill(engine, *models, at=NOON + hours * HOUR, guards=Guards())


def served(engine: Engine) -> Snapshot:
    return Snapshot(*make_publication(engine, Decimal(1)))


def entry(engine: Engine, slug: str) -> Any:
    return json.loads(served(engine).prices[slug])


def document(engine: Engine, slug: str) -> Any:
    return json.loads(served(engine).documents[slug])


def prompt_at(engine: Engine, slug: str, hours: float, revision: int | None = None) -> str | None:
    with reading(engine) as connection:
        revision = revision or catalogue_state(connection).revision
        found = list(read.prices(connection, revision, at=NOON + hours * HOUR, slug=slug))
    return found[0].schedule.base["prompt"].text if found else None


def resolutions(engine: Engine) -> list[tuple[int, int | None, str | None]]:
    row = price_holds.c
    query = select(row.revision_from, row.revision_to, row.resolution).order_by(row.id)
    with reading(engine) as connection:
        return [tuple(told) for told in connection.execute(query)]


def kinds(engine: Engine, slug: str) -> list[tuple[str, str | None, datetime]]:
    with reading(engine) as connection:
        told = read.changes(connection, since=0, limit=99, kinds=frozenset(read.ChangeKind), slug=slug)
    return [(str(change.kind), change.part, change.at) for change in told if change.kind != "added"]


ODD = {
    "falsely zero": FREE_NOW,
    "a :free model that costs": model("a/gift:free", "0.1", "0"),
    "more than ten times": model("a/paid", "10.0001", "1"),
    "less than a tenth": model("a/paid", "0.0999", "1"),
}


def with_odd(odd: Any, *, more: dict[str, Any] | None = None) -> list[Any]:
    return [odd | (more or {}) if row["id"] == odd["id"] else row for row in USUAL]


@pytest.mark.parametrize("oddity", ODD)
def test_what_is_odd_is_served_as_before_and_seen_to_be_held(oddity: str, engine: Engine) -> None:
    hear(engine, *USUAL)
    slug = ODD[oddity]["id"]
    before, before_document = entry(engine, slug), document(engine, slug)
    counts = hear(engine, *with_odd(ODD[oddity]), hours=3)

    assert (counts.held, counts.changes, counts.revision) == (1, 0, 2)
    told = entry(engine, slug)
    held = told.pop("held")
    assert told | {"held": None} == before
    assert document(engine, slug) == before_document
    assert held["since"] == "2026-08-06T15:00:00Z"
    assert "prompt" in held["reason"]
    assert held["prices"]["prompt"].get("per_token", "0") == ODD[oddity]["pricing"]["prompt"]
    others = {row["id"] for row in USUAL} - {slug}
    assert all(entry(engine, other)["held"] is None for other in others)


def test_exactly_ten_times_is_believed_at_once_in_both_directions(engine: Engine) -> None:
    for hours, prompt in enumerate(("1", "10", "1", "0.1", "1")):
        counts = hear(engine, model("a/paid", prompt, "1"), hours=hours)
        assert (counts.held, counts.changes) == (0, 1)


def test_while_a_price_is_held_the_rest_of_the_document_is_what_upstream_says(engine: Engine) -> None:
    hear(engine, *USUAL)
    news = {"name": "Renamed", "context_length": 99, "brand_new": [1, {"a": None}]}
    hear(engine, *with_odd(FREE_NOW, more=news), hours=3)
    shown = document(engine, "a/paid")
    assert shown == PAID | news
    assert list(shown) == ["id", "name", "pricing", "context_length", "brand_new"]  # upstream's order
    assert (entry(engine, "a/paid")["name"], entry(engine, "a/paid")["context_length"]) == ("Renamed", 99)
    assert kinds(engine, "a/paid") == [
        ("attributes", "name", NOON + 3 * HOUR),
        ("attributes", "context_length", NOON + 3 * HOUR),
    ]


def test_what_was_not_held_changed_when_it_was_said(engine: Engine) -> None:
    hear(engine, *USUAL)
    hear(engine, *with_odd(FREE_NOW), hours=3)
    hear(engine, *with_odd(FREE_NOW, more={"name": "Renamed"}), hours=6)
    assert set(kinds(engine, "a/paid")) == {
        ("became_free", "prompt", NOON + 3 * HOUR),
        ("attributes", "name", NOON + 6 * HOUR),
    }


def test_the_second_time_it_is_believed_and_was_valid_from_the_first(engine: Engine) -> None:
    hear(engine, *USUAL)
    odd = with_odd(FREE_NOW)
    hear(engine, *odd, hours=3)
    assert prompt_at(engine, "a/paid", 4) == "1"
    counts = hear(engine, *odd, hours=6)

    assert (counts.held, counts.changes, counts.revision) == (0, 1, 3)
    assert [prompt_at(engine, "a/paid", hours) for hours in (2.99, 3, 4, 6, 7)] == ["1", "0", "0", "0", "0"]
    assert [prompt_at(engine, "a/paid", hours, 2) for hours in (2.99, 3, 4)] == ["1", "1", "1"]
    assert kinds(engine, "a/paid") == [("became_free", "prompt", NOON + 3 * HOUR)]
    assert resolutions(engine) == [(2, 3, "confirmed")]
    told = entry(engine, "a/paid")
    assert (told["held"], told["valid_from"], told["revision"]) == (None, "2026-08-06T15:00:00Z", 3)
    assert document(engine, "a/paid")["pricing"]["prompt"] == "0"


def test_another_list_with_the_same_odd_price_confirms_it_too(engine: Engine) -> None:
    hear(engine, *USUAL)
    hear(engine, *with_odd(FREE_NOW), hours=3)
    counts = hear(engine, *with_odd(FREE_NOW, more={"name": "Renamed"}), model("a/new"), hours=6)
    assert (counts.held, counts.changes) == (0, 2)
    assert prompt_at(engine, "a/paid", 3) == "0"


def test_what_is_taken_back_leaves_only_its_record(engine: Engine) -> None:
    hear(engine, *USUAL)
    before = served(engine)
    hear(engine, *with_odd(FREE_NOW), hours=3)
    counts = hear(engine, *USUAL, hours=6)

    assert (counts.held, counts.changes, counts.revision) == (0, 0, 3)
    assert resolutions(engine) == [(2, 3, "withdrawn")]
    assert kinds(engine, "a/paid") == []
    assert (served(engine).prices, served(engine).documents) == (before.prices, before.documents)
    assert [prompt_at(engine, "a/paid", hours) for hours in (2, 3, 4, 7)] == ["1"] * 4
    with reading(engine) as connection:
        (then,) = read.prices(connection, 2, slug="a/paid")
    assert then.held is not None  # what that revision said, it says for ever


def test_another_odd_price_is_held_in_the_place_of_the_first(engine: Engine) -> None:
    hear(engine, *USUAL)
    hear(engine, *with_odd(FREE_NOW), hours=3)
    counts = hear(engine, *with_odd(model("a/paid", "99", "1")), hours=6)
    assert (counts.held, counts.changes) == (1, 0)
    told = entry(engine, "a/paid")
    assert (told["prices"]["prompt"]["per_token"], told["held"]["prices"]["prompt"]["per_token"]) == (
        "1",
        "99",
    )
    assert told["held"]["since"] == "2026-08-06T18:00:00Z"
    assert resolutions(engine) == [(2, 3, "withdrawn"), (3, None, None)]
    assert hear(engine, *with_odd(model("a/paid", "99", "1")), hours=9).changes == 1
    assert [prompt_at(engine, "a/paid", hours) for hours in (3, 6)] == ["1", "99"]


def test_a_garbled_row_keeps_the_hold_which_the_next_good_one_confirms(engine: Engine) -> None:
    hear(engine, *USUAL)
    hear(engine, *with_odd(FREE_NOW), hours=3)
    counts = hear(engine, GIFT, model("a/paid", "NaN", "1"), OTHER, hours=6)
    assert (counts.held, counts.changes, counts.skipped_rows) == (1, 0, 1)
    assert entry(engine, "a/paid")["held"]["since"] == "2026-08-06T15:00:00Z"
    assert hear(engine, *with_odd(FREE_NOW), hours=9).changes == 1
    assert prompt_at(engine, "a/paid", 3) == "0"


def test_a_new_model_may_cost_what_it_likes(engine: Engine) -> None:
    hear(engine, *USUAL)
    counts = hear(engine, *USUAL, model("a/new:free", "5", "5"), model("a/gratis", "0", "0"), hours=3)
    assert (counts.held, counts.changes) == (0, 2)


# A list that shrinks


def test_models_that_vanish_together_are_served_on_and_seen_to_be_held(engine: Engine) -> None:
    hear(engine, *USUAL)
    before = served(engine).documents
    counts = hear(engine, OTHER, hours=3)
    assert (counts.held, counts.changes) == (2, 0)
    assert served(engine).documents == before
    for slug in ("a/gift:free", "a/paid"):
        held = entry(engine, slug)["held"]
        assert (held["reason"], held["prices"]) == ("the list would lose 2 of 3 models", None)
    assert entry(engine, "a/other")["held"] is None


def test_a_loss_that_is_said_twice_is_valid_from_the_first_time(engine: Engine) -> None:
    hear(engine, *USUAL)
    hear(engine, OTHER, hours=3)
    counts = hear(engine, OTHER, hours=6)
    assert (counts.held, counts.changes, counts.models) == (0, 2, 1)
    assert list(served(engine).documents) == ["a/other"]
    assert [prompt_at(engine, "a/paid", hours) for hours in (2.99, 3, 4, 7)] == ["1", None, None, None]
    assert prompt_at(engine, "a/paid", 4, revision=2) == "1"
    assert kinds(engine, "a/paid") == [("removed", None, NOON + 3 * HOUR)]
    assert hear(engine, *USUAL, hours=9).changes == 2
    assert [prompt_at(engine, "a/paid", hours) for hours in (2, 8, 9)] == ["1", None, "1"]


def test_models_that_are_back_the_next_time_never_went(engine: Engine) -> None:
    hear(engine, *USUAL)
    hear(engine, OTHER, hours=3)
    counts = hear(engine, *USUAL, hours=6)
    assert (counts.held, counts.changes) == (0, 0)
    assert [prompt_at(engine, "a/paid", hours) for hours in (2, 3, 7)] == ["1"] * 3
    assert resolutions(engine) == [(2, 3, "withdrawn")] * 2


def test_half_of_the_models_may_go_at_once(engine: Engine) -> None:
    hear(engine, *USUAL, model("a/fourth"))
    assert hear(engine, GIFT, OTHER, hours=3).changes == 2


# Through whole refreshes


USED = "lumenforge/aurora-5"


def refresh(services: Services, **how: Any) -> Refresh:
    return refresh_prices(services, worker="test", force=True, **how)


def prompt_of(services: Services, slug: str = USED) -> str:
    told: str = entry(services.engine, slug)["prices"]["prompt"]["per_token"]
    return told


@pytest.fixture
def first(services: Services, standin: Standin) -> Refresh:
    return refresh(services)


def say_free(standin: Standin) -> None:
    standin.answer(patch={USED: {"pricing.prompt": "0"}})


def test_force_alone_believes_nothing_and_the_same_bytes_again_confirm(
    first: Refresh, services: Services, standin: Standin
) -> None:
    say_free(standin)
    held = refresh(services)
    assert (held.held, held.changes, prompt_of(services)) == (1, 0, "0.000002")
    confirmed = refresh(services)
    assert (confirmed.held, confirmed.changes, prompt_of(services)) == (0, 1, "0")
    assert standin.requests()["received"] == 3
    again = refresh(services)
    assert (again.held, again.changes, again.revision) == (0, 0, confirmed.revision)


def test_a_body_out_of_the_stash_is_a_first_time_and_no_second(
    first: Refresh, services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_free(standin)
    services = replace(services, settings=replace(services.settings, retry_max=timedelta(0)))

    def away(*_args: object) -> None:
        raise DatabaseUnavailableError("the database failed")

    with monkeypatch.context() as patched:
        patched.setattr("prices.refresh.story.commit", away)
        with pytest.raises(RefreshFailedError, match="the database failed"):
            refresh(services)
    with writing(services.engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=None))
        connection.execute(update(refresh_runs).values(retry_at=None))
    held = refresh_prices(services, worker="test")
    assert (held.held, held.changes) == (1, 0)
    assert standin.requests()["received"] == 2
    assert refresh_prices(services, worker="test").reason == "fresh"
    assert prompt_of(services) == "0.000002"


def test_what_is_held_can_be_accepted_at_once(first: Refresh, services: Services, standin: Standin) -> None:
    say_free(standin)
    refresh(services)
    with reading(services.engine) as connection:
        seen_at = holds(connection)[USED].seen_at
    accepted = refresh(services, accept_held=True)
    assert (accepted.held, accepted.changes, prompt_of(services)) == (0, 1, "0")
    assert resolutions(services.engine)[0][2] == "confirmed"
    assert entry(services.engine, USED)["valid_from"] == msgspec.to_builtins(seen_at)


def test_what_would_be_held_can_be_accepted_at_once(
    first: Refresh, services: Services, standin: Standin
) -> None:
    say_free(standin)
    accepted = refresh(services, accept_held=True)
    assert (accepted.held, accepted.changes, prompt_of(services)) == (0, 1, "0")
    assert resolutions(services.engine) == []


@pytest.mark.parametrize("accept_held", [False, True])
def test_an_empty_list_is_never_accepted(
    accept_held: bool, first: Refresh, services: Services, standin: Standin
) -> None:
    standin.answer(empty_list=True)
    before = served(services.engine).documents
    for _time in range(2):
        with pytest.raises(RefreshFailedError, match="upstream's list is empty"):
            refresh(services, accept_held=accept_held)
    assert served(services.engine).documents == before
    assert resolutions(services.engine) == []


def test_the_bounds_are_settings(first: Refresh, services: Services, standin: Standin) -> None:
    twice = {USED: {"pricing.prompt": "0.0000041"}}
    strict = replace(
        services, settings=replace(services.settings, guard_factor=Decimal(2), guard_loss=Decimal("0.01"))
    )
    standin.answer(patch=twice, drop=["openrouter/auto"])
    assert refresh(strict).held == 2
    standin.clear()
    assert refresh(strict).held == 0
    standin.answer(patch=twice, drop=["openrouter/auto"])
    assert (refresh(services).held, prompt_of(services)) == (0, "0.0000041")
