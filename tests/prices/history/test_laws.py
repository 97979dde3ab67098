"""Laws of schedules, changes and history, for any lists: drawn by Hypothesis, checked against the lists."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, StaticPool, create_engine, event

from deploy_migrations import _config
from prices.catalogue.changes import ChangeKind, price_changes
from prices.catalogue.diff import compare
from prices.catalogue.differences import CatalogueDiff
from prices.catalogue.guards import Guards
from prices.catalogue.model import LanguageModel
from prices.history import read
from prices.pricing import schedule as schedules
from prices.pricing.schedule import PriceSchedule
from prices.refresh.commit import commit
from prices.store.database import _begin_sqlite, reading, writing
from prices.store.queries import catalogue_state
from prices.upstream.model_list import OpenRouterList, parse
from prices.upstream.received import Received
from tests.support.laws import examples
from tests.support.ledger import started
from tests.support.lists import body, listed

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Of a history that took seconds to make, a smaller one is not worth a hundred more."""
NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)

amounts = st.one_of(
    st.sampled_from(["0", "-1", "0.000001", "0.00000100", "1e-6", "0.0000010000001", "0.0002"]),
    st.decimals(min_value=0, max_value=1, places=9, allow_nan=False).map(lambda amount: f"{amount:f}"),
)
extras = st.dictionaries(st.sampled_from(["request", "image", "input_cache_read", "audio"]), amounts)
tiers = st.lists(
    st.fixed_dictionaries({"min_prompt_tokens": st.sampled_from([1000, 32000]), "prompt": amounts}),
    max_size=2,
)
pricings = st.builds(
    lambda prompt, completion, more, overrides: (
        {"prompt": prompt, "completion": completion} | more | ({"overrides": overrides} if overrides else {})
    ),
    amounts,
    amounts,
    extras,
    tiers,
)
SLUGS = ["a/one", "a/two", "a/two:free", "b/three", "b/four"]


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some of a few models, in any order, each with any price and perhaps another name."""
    slugs = draw(st.lists(st.sampled_from(SLUGS), unique=True, min_size=1))
    return [
        {"id": slug, "name": draw(st.sampled_from(["One", "Two"])), "pricing": draw(pricings)}
        for slug in slugs
    ]


def applied(stored: dict[str, LanguageModel], diff: CatalogueDiff) -> dict[str, LanguageModel]:
    """What the catalogue is after a diff, by the diff alone."""
    after = dict(stored)
    for one in diff.models:
        if one.after is None:
            del after[one.slug]
        else:
            after[one.slug] = one.after
    return after


def stored_of(read: OpenRouterList) -> dict[str, LanguageModel]:
    return {
        row.id: LanguageModel(row.id, place, row.document, row.schedule, place)
        for place, row in enumerate(read.models)
    }


@given(rows(), rows())
def test_a_diff_applied_gives_the_new_list(before: list[Any], after: list[Any]) -> None:
    stored, read = stored_of(listed(*before)), listed(*after)
    result = applied(stored, compare(stored.values(), {}, read, NOON))
    assert [one.slug for one in sorted(result.values(), key=lambda one: one.position)] == [
        row.id for row in read.models
    ]
    for row in read.models:
        assert result[row.id].document == row.document
        assert not price_changes(result[row.id].schedule, row.schedule)


@given(rows())
def test_the_same_list_makes_an_empty_diff(before: list[Any]) -> None:
    stored = stored_of(listed(*before))
    assert compare(stored.values(), {}, listed(*before), NOON).is_empty


@given(pricings, st.randoms())
def test_another_text_of_the_same_amounts_is_no_change(pricing: dict[str, Any], random: Any) -> None:
    respelled = {
        key: value if key == "overrides" else _respelled(value, random) for key, value in pricing.items()
    }
    assert not price_changes(PriceSchedule.parse(pricing), PriceSchedule.parse(respelled))


def _respelled(text: str, random: Any) -> str:
    return text + "0" * random.randint(0, 3) if "." in text and "e" not in text else text


@given(pricings, pricings)
def test_a_change_back_undoes_the_change(one: dict[str, Any], other: dict[str, Any]) -> None:
    there = price_changes(PriceSchedule.parse(one), PriceSchedule.parse(other))
    back = price_changes(PriceSchedule.parse(other), PriceSchedule.parse(one))
    assert {change.part for change in there} == {change.part for change in back}
    for change, undoing in zip(there, back, strict=True):
        assert undoing.undoes(change)
        assert (undoing.before, undoing.after) == (change.after, change.before)


@given(pricings)
def test_a_schedule_outlives_being_stored(pricing: dict[str, Any]) -> None:
    schedule = PriceSchedule.parse(pricing).seen_after(None, NOON)
    text = schedule.to_json()
    schedules._kept.clear()  # as in another process
    assert PriceSchedule.from_json(text) == schedule


@cache
def _migrated() -> bytes:
    from alembic import command

    with _memory(None) as (engine, connection):
        with writing(engine) as opened:
            config = _config()
            config.attributes["connection"] = opened
            command.upgrade(config, "head")
        return connection.serialize()


@contextmanager
def _memory(content: bytes | None) -> Iterator[tuple[Engine, sqlite3.Connection]]:
    """A database in memory: as fast as a law needs that is checked a hundred times."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    if content:
        connection.deserialize(content)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", _begin_sqlite)
    try:
        yield engine, connection
    finally:
        engine.dispose()
        connection.close()


@settings(max_examples=examples(30), phases=UNSHRUNK)
@given(st.lists(rows(), min_size=1, max_size=6), st.booleans())
def test_at_any_time_the_price_is_that_of_the_body_in_force_and_every_revision_stays(
    bodies: list[list[Any]], guarded: bool
) -> None:
    guards = Guards() if guarded else None
    with _memory(_migrated()) as (engine, _connection):
        said: dict[int, list[read.PriceInterval]] = {}
        for number, fed in enumerate(bodies):
            received = body(*fed)
            for second in range(1 + guarded):  # what is held is confirmed by a second look
                at = NOON + timedelta(hours=number, minutes=second)
                commit(engine, started(engine), parse(received), Received(received, at).receipt, guards)
                with reading(engine) as connection:
                    revision = catalogue_state(connection).revision
                    said[revision] = list(read.prices(connection, revision))

        with reading(engine) as connection:
            newest = catalogue_state(connection).revision
            for number, fed in enumerate(bodies):
                for minute in (0, 30, 59):
                    at = NOON + timedelta(hours=number, minutes=minute)
                    known = {one.slug: one for one in read.prices(connection, newest, at=at)}
                    assert set(known) == {row["id"] for row in fed}
                    for row in fed:
                        schedule = PriceSchedule.parse(row["pricing"])
                        assert not price_changes(known[row["id"]].schedule, schedule)
            for revision, prices in said.items():
                assert list(read.prices(connection, revision)) == prices
            changes = read.changes(connection, since=0, limit=1000, kinds=frozenset(ChangeKind))
            assert [change.cursor for change in changes] == sorted({change.cursor for change in changes})


@settings(max_examples=examples(20), phases=UNSHRUNK)
@given(st.lists(rows(), min_size=2, max_size=5))
def test_replaying_a_models_changes_gives_its_price(bodies: list[list[Any]]) -> None:
    with _memory(_migrated()) as (engine, _connection):
        for number, fed in enumerate(bodies):
            received = body(*fed)
            at = NOON + timedelta(hours=number)
            commit(engine, started(engine), parse(received), Received(received, at).receipt, None)
        with reading(engine) as connection:
            newest = catalogue_state(connection).revision
            now = {one.slug: one.schedule for one in read.prices(connection, newest)}
            changes = read.changes(connection, since=0, limit=1000, kinds=frozenset(ChangeKind))
    rebuilt: dict[str, dict[str, Any]] = {}
    for change in changes:
        if change.kind in (ChangeKind.ADDED, ChangeKind.RETURNED):
            rebuilt[change.slug] = json.loads(change.after or "{}")
        elif change.kind is ChangeKind.REMOVED:
            del rebuilt[change.slug]
        elif change.kind is not ChangeKind.ATTRIBUTES and change.part:
            value = json.loads(change.after or "[]") if change.part == "overrides" else change.after
            rebuilt[change.slug][change.part] = value
            if value is None:
                del rebuilt[change.slug][change.part]
    assert set(rebuilt) == set(now)
    for slug, pricing in rebuilt.items():
        assert not price_changes(PriceSchedule.parse(pricing), now[slug])
