"""What a price was: at a time, by a revision, by both; every answer stays what it was, for ever."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from prices.catalogue.changes import QUIET, ChangeKind
from prices.catalogue.guards import Guards
from prices.formats import pricebeat
from prices.history import read
from prices.history.read import PriceInterval
from prices.published.bodies import IDENTITY
from prices.published.make import make_publication
from prices.runtime.settings import Settings
from prices.store.database import make_engine, reading
from prices.store.queries import catalogue_state
from tests.prices.conftest import emptied
from tests.support.laws import examples
from tests.support.ledger import fill
from tests.support.lists import model

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
ALL = frozenset(ChangeKind)


def day(number: int) -> datetime:
    """When revision `number` was committed."""
    return BEGIN + (number - 1) * DAY


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Five revisions, a day apart: prices move, a model goes and returns, another is renamed."""
    url = emptied(request, tmp_path_factory.mktemp("told"))
    engine = make_engine(Settings.from_env({"DATABASE_URL": url}).database_url)
    one, two, three = (
        model(f"a/{name}", prompt=prompt) for name, prompt in (("one", 1), ("two", 2), ("three", 3))
    )
    fill(engine, one, two, at=day(1))
    fill(engine, model("a/two", prompt=20), three, one, at=day(2))
    fill(engine, model("a/two", prompt=20), three, at=day(3))
    fill(engine, model("a/one", prompt=10), model("a/two", prompt=20), three, at=day(4))
    fill(engine, model("a/one", prompt=10), three | {"name": "Trois"}, model("a/two", prompt=20), at=day(5))
    yield engine
    engine.dispose()


LISTS = {
    1: {"a/one": "1", "a/two": "2"},
    2: {"a/two": "20", "a/three": "3", "a/one": "1"},
    3: {"a/two": "20", "a/three": "3"},
    4: {"a/one": "10", "a/two": "20", "a/three": "3"},
    5: {"a/one": "10", "a/three": "3", "a/two": "20"},
}


def prompts(prices: list[PriceInterval]) -> dict[str, str]:
    """The prompt's price of each model, in the order of the answer."""
    return {price.slug: price.schedule.base["prompt"].text for price in prices}


def ask(engine: Engine, revision: int | None = None, **other: Any) -> list[PriceInterval]:
    with reading(engine) as connection:
        newest = catalogue_state(connection).revision
        return list(read.prices(connection, revision or newest, **other))


def in_order(prices: dict[str, str]) -> list[tuple[str, str]]:
    return list(prices.items())


@pytest.mark.parametrize("number", LISTS)
def test_at_a_time_gives_the_list_of_that_time_in_its_order(number: int, told: Engine) -> None:
    for at in (day(number), day(number) + DAY / 2, day(number + 1) - INSTANT):
        assert in_order(prompts(ask(told, at=at))) == in_order(LISTS[number])


@pytest.mark.parametrize("number", LISTS)
def test_a_revision_gives_what_it_said_in_its_order(number: int, told: Engine) -> None:
    assert in_order(prompts(ask(told, number))) == in_order(LISTS[number])


def test_before_the_first_revision_nothing_was_in_force(told: Engine) -> None:
    assert ask(told, at=day(1) - INSTANT) == []
    with reading(told) as connection:
        assert read.revision_at(connection, day(1) - INSTANT) == 0
        assert read.revision_at(connection, day(5) + DAY) == 5


def test_a_revision_knows_no_end_that_came_later(told: Engine) -> None:
    (then,) = ask(told, 1, slug="a/one")
    assert (then.valid_from, then.valid_to, then.revision) == (day(1), None, 1)
    (now,) = ask(told, slug="a/one", at=day(1))
    assert (now.valid_from, now.valid_to, now.revision) == (day(1), day(3), 3)


def test_a_revision_asked_for_a_time_after_it_says_what_it_thought_then(told: Engine) -> None:
    assert prompts(ask(told, 1, at=day(3))) == {"a/one": "1", "a/two": "2"}
    assert prompts(ask(told, 3, at=day(1))) == {"a/one": "1", "a/two": "2"}
    assert ask(told, 3, at=day(3), slug="a/one") == []


def test_one_model_alone_is_what_the_list_says_of_it(told: Engine) -> None:
    for number in LISTS:
        for at in (None, day(2)):
            for price in ask(told, number, at=at):
                assert ask(told, number, at=at, slug=price.slug) == [price]
    assert ask(told, slug="a/nobody") == []


def test_a_model_that_is_gone_is_priced_as_of_its_time_and_not_after(told: Engine) -> None:
    assert prompts(ask(told, slug="a/one", at=day(3) - INSTANT)) == {"a/one": "1"}
    assert ask(told, slug="a/one", at=day(3)) == []
    assert ask(told, 3, slug="a/one") == []
    assert prompts(ask(told, slug="a/one", at=day(4))) == {"a/one": "10"}


def test_attributes_are_those_of_the_time(told: Engine) -> None:
    names = {}
    for number in (4, 5):
        (by_time,) = ask(told, slug="a/three", at=day(number))
        (by_revision,) = ask(told, number, slug="a/three")
        assert by_time.attributes == by_revision.attributes
        names[number] = by_time.attributes.name
    assert names == {4: "A/Three", 5: "Trois"}


# Every interval of a model


def test_the_intervals_of_a_model_have_a_gap_while_it_was_gone(told: Engine) -> None:
    with reading(told) as connection:
        known = read.intervals(connection, "a/one")
        assert read.intervals(connection, "a/nobody") == []
    assert [(one.schedule.base["prompt"].text, one.valid_from, one.valid_to) for one in known] == [
        ("1", day(1), day(3)),
        ("10", day(4), None),
    ]
    shown = pricebeat.price_history(known, Decimal(1), 5)
    assert shown.count(b'"returned":true') == 1


def test_the_intervals_of_a_model_that_stayed_follow_each_other(told: Engine) -> None:
    with reading(told) as connection:
        known = read.intervals(connection, "a/two")
    assert [(one.valid_from, one.valid_to) for one in known] == [(day(1), day(2)), (day(2), None)]
    assert b'"returned":true' not in pricebeat.price_history(known, Decimal(1), 5)


# The feed


def feed_of(engine: Engine, **other: Any) -> list[tuple[str, str, str | None]]:
    asked: dict[str, Any] = {"since": 0, "limit": 1000, "kinds": ALL}
    with reading(engine) as connection:
        return [
            (change.slug, str(change.kind), change.part)
            for change in read.changes(connection, **asked | other)
        ]


def test_the_feed_tells_every_change_in_the_order_of_the_commits(told: Engine) -> None:
    assert feed_of(told) == [
        ("a/one", "added", None),
        ("a/two", "added", None),
        ("a/two", "raised", "prompt"),
        ("a/three", "added", None),
        ("a/one", "removed", None),
        ("a/one", "returned", None),
        ("a/three", "attributes", "name"),
    ]


def test_the_feed_can_be_asked_by_kind_and_by_model(told: Engine) -> None:
    assert feed_of(told, kinds=ALL - QUIET, slug="a/three") == [("a/three", "added", None)]
    assert feed_of(told, kinds={ChangeKind.REMOVED, ChangeKind.RAISED}) == [
        ("a/two", "raised", "prompt"),
        ("a/one", "removed", None),
    ]
    assert feed_of(told, slug="a/nobody") == []


def test_a_change_carries_both_values_its_time_and_its_revision(told: Engine) -> None:
    with reading(told) as connection:
        raised, renamed = read.changes(
            connection, since=0, limit=9, kinds={ChangeKind.RAISED, ChangeKind.ATTRIBUTES}
        )
    assert (raised.before, raised.after, raised.at, raised.revision, raised.is_json) == (
        *("2", "20", day(2), 2),
        False,
    )
    assert (renamed.before, renamed.after, renamed.revision, renamed.is_json) == (
        *('"A/Three"', '"Trois"', 5),
        True,
    )


# Laws, on whatever upstream sends


@pytest.fixture(scope="module")
def fresh_engine(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Make an empty catalogue as often as it is asked for."""
    folder, made = tmp_path_factory.mktemp("laws"), []

    def make() -> Engine:
        for earlier in made:
            earlier.dispose()
        copy = folder / f"{len(made)}.sqlite3"
        shutil.copy(migrated_sqlite, copy)
        made.append(make_engine(f"sqlite:///{copy}"))
        return made[-1]

    yield make
    made[-1].dispose()


PRICES = st.sampled_from(["0", "-1", "0.000001", "0.0000010000000001", "0.00002", "NaN"])
ROW = st.builds(
    lambda prompt, image, size: {"prompt": prompt, "pricing": {"image": image}, "context_length": size},
    PRICES,
    st.none() | PRICES,
    st.integers(0, 1),
)
LIST = st.dictionaries(st.sampled_from(["a/1", "a/2", "a/3:free", "a/4"]), ROW, max_size=4)
LISTS_IN_TURN = st.lists(st.tuples(LIST, st.booleans()), min_size=2, max_size=7)


def rows_of(drawn: dict[str, Any], turned: bool) -> list[Any]:
    rows = [model("z/always"), *(model(slug, **dict(row)) for slug, row in drawn.items())]
    return rows[::-1] if turned else rows


@settings(max_examples=examples(15), suppress_health_check=list(HealthCheck))
@given(LISTS_IN_TURN)
def test_what_a_revision_served_can_be_asked_for_again_byte_for_byte(fresh_engine: Any, lists: Any) -> None:
    engine, served = fresh_engine(), {}
    for number, (drawn, turned) in enumerate(lists):
        fill(engine, *rows_of(drawn, turned), at=BEGIN + number * DAY, guards=Guards())
        _stamp, published = make_publication(engine, Decimal("1.2"))
        earlier = served.setdefault(published.revision, published.prices)
        assert earlier == published.prices
    with reading(engine) as connection:
        for revision, prices in served.items():
            body = pricebeat.price_list(read.prices(connection, revision), Decimal("1.2"), revision)
            assert prices.encoded(IDENTITY) == body


@settings(max_examples=examples(15), suppress_health_check=list(HealthCheck))
@given(LISTS_IN_TURN)
def test_at_a_time_gives_what_the_list_of_that_time_said_whatever_came_after(
    fresh_engine: Any, lists: Any
) -> None:
    engine, expected = fresh_engine(), {}
    current: dict[str, Any] = {}
    for number, (drawn, turned) in enumerate(lists):
        at = BEGIN + number * DAY
        fill(engine, *rows_of(drawn, turned), at=at)
        garbled = {slug for slug, row in drawn.items() if "NaN" in (row["prompt"], row["pricing"]["image"])}
        said = {slug: (row["prompt"], row["pricing"]["image"]) for slug, row in drawn.items()}
        current = {slug: current[slug] for slug in garbled & current.keys()} | {
            slug: prices for slug, prices in said.items() if slug not in garbled
        }
        expected[at] = current
    for at, prices in expected.items():
        found = {
            price.slug: tuple(
                shown and shown.text for shown in map(price.schedule.base.get, ("prompt", "image"))
            )
            for price in ask(engine, at=at + INSTANT)
            if price.slug != "z/always"
        }
        assert found == prices


def test_a_price_of_the_past_is_not_told_as_held_when_todays_is(engine: Engine) -> None:
    fill(engine, model("a/one", prompt="1"), at=BEGIN)
    fill(engine, model("a/one", prompt="50"), at=BEGIN + DAY, guards=Guards())
    with reading(engine) as connection:
        (now,) = read.prices(connection, 2)
        (then,) = read.prices(connection, 2, at=BEGIN + DAY / 2)
    assert now.held
    assert then.held is None
