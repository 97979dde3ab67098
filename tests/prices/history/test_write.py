"""What a revision writes: nothing that was said is overwritten, and no two prices hold at one time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from prices.catalogue.changes import REVERTED_WITHIN, ChangeKind
from prices.catalogue.guards import Guards
from prices.history import read
from prices.pricing.rates import rates_at
from prices.store.database import reading, writing
from prices.store.tables import (
    dated_prices,
    language_models,
    model_attributes,
    price_changes,
    price_holds,
    revisions,
)
from tests.support.ledger import fill
from tests.support.lists import model

DAY = timedelta(days=1)
BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
ALL = frozenset(ChangeKind)


def day(number: float) -> datetime:
    return BEGIN + (number - 1) * DAY


def rows(engine: Engine, table: Table) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.id))]


# Nothing that was said is overwritten

LASTING = {
    dated_prices: set[str](),
    model_attributes: {"revision_to"},
    price_holds: {"revision_to", "resolution"},
    price_changes: set[str](),
}
"""The tables of history, and which columns are written once more after a row was made."""


def test_later_revisions_change_nothing_of_a_row_but_where_it_ends(engine: Engine) -> None:
    lists = [
        [model("a/one", prompt=1), model("a/two", prompt=1, context_length=1)],
        [model("a/one", prompt=2), model("a/two", prompt=0, context_length=2)],
        [model("a/one", prompt=1), model("a/two", prompt=0)],
        [model("a/two", prompt=99)],
        [model("a/one", prompt=7), model("a/two", prompt=0)],
        [model("a/one", prompt=7, name="Uno")],
    ]
    seen: dict[Table, dict[int, dict[str, Any]]] = {table: {} for table in LASTING}
    for number, listed in enumerate(lists, 1):
        fill(engine, *listed, at=day(number), guards=Guards())
        for table, ends in LASTING.items():
            now = {row["id"]: row for row in rows(engine, table)}
            for row_id, before in seen[table].items():
                after = now[row_id]
                moved = {name for name in before if before[name] != after[name]}
                assert moved <= ends
                assert all(before[name] is None for name in moved)
            seen[table] = now
    assert all(seen.values())  # or nothing was looked at


def test_a_price_that_moves_begins_again_and_one_that_goes_ends(engine: Engine) -> None:
    fill(engine, model("a/one", prompt=1), model("a/stays"), at=day(1))
    fill(engine, model("a/one", prompt=2), model("a/stays"), at=day(2))
    fill(engine, model("a/stays"), at=day(3))
    told = [
        (
            row["schedule"] and msgspec.json.decode(row["schedule"])["prompt"],
            row["valid_from"],
            row["revision_from"],
        )
        for row in rows(engine, dated_prices)
        if row["model_id"] == 1
    ]
    assert told == [("1", day(1), 1), ("2", day(2), 2), (None, day(3), 3)]


def test_a_base_price_that_is_learned_counts_for_all_the_time_that_it_was_hidden(engine: Engine) -> None:
    siesta = {"overrides": [{"utc_start": 1200, "utc_end": 1500, "prompt": "1"}]}
    within, between, after = (BEGIN + timedelta(hours=hours) for hours in (13, 16, 17))
    fill(engine, model("a/one", prompt="1", pricing=siesta), at=within)
    fill(engine, model("a/one", prompt="2", pricing=siesta), at=after)
    with reading(engine) as connection:
        ((known,), (then,)) = (read.prices(connection, revision, at=between) for revision in (2, 1))
    assert (rates_at(known.schedule, between, 0).known["prompt"].text, known.valid_from) == ("2", within)
    assert "prompt" not in rates_at(then.schedule, between, 0).known
    assert rates_at(known.schedule, within, 0).known["prompt"].text == "1"


def test_attributes_are_written_when_they_change_and_when_a_model_comes(engine: Engine) -> None:
    fill(engine, model("a/one", name="One"), model("a/stays"), at=day(1))
    fill(engine, model("a/one", name="One", prompt=2), model("a/stays"), at=day(2))
    fill(engine, model("a/one", name="Uno", prompt=2), model("a/stays"), at=day(3))
    fill(engine, model("a/stays"), at=day(4))
    fill(engine, model("a/one", name="Uno", prompt=2), model("a/stays"), at=day(5))
    told = [
        (msgspec.json.decode(row["attributes"])["name"], row["revision_from"], row["revision_to"])
        for row in rows(engine, model_attributes)
        if row["model_id"] == 1
    ]
    assert told == [("One", 1, 3), ("Uno", 3, 5), ("Uno", 5, None)]


def test_the_order_of_the_list_is_written_where_it_is_another(engine: Engine) -> None:
    one, two = model("a/one"), model("a/two")
    fill(engine, one, two, at=day(1))
    fill(engine, one | {"name": "Uno"}, two, at=day(2))
    fill(engine, two, one | {"name": "Uno"}, at=day(3))
    fill(engine, two, at=day(4))
    with reading(engine) as connection:
        told = connection.scalars(select(revisions.c.listing).order_by(revisions.c.revision)).all()
    assert told == ["[1,2]", None, "[2,1]", "[2]"]


def test_a_model_that_returns_keeps_its_row_and_its_first_day(engine: Engine) -> None:
    fill(engine, model("a/stays"), model("a/one", prompt=1), at=day(1))
    fill(engine, model("a/stays"), at=day(2))
    fill(engine, model("a/stays"), model("a/one", prompt=5), at=day(3))
    assert [
        (row["slug"], row["first_seen_at"], row["removed_at"]) for row in rows(engine, language_models)
    ] == [
        ("a/stays", day(1), None),
        ("a/one", day(1), None),
    ]
    assert {row["model_id"] for row in rows(engine, dated_prices) if "5" in (row["schedule"] or "")} == {2}


# Which change a change undoes


def reverts(engine: Engine) -> dict[int, int]:
    """By the cursor of each change that undoes one, the cursor of that one."""
    with reading(engine) as connection:
        told = read.changes(connection, since=0, limit=100, kinds=ALL)
    return {change.cursor: change.reverts for change in told if change.reverts}


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ((1, 2, 1), {3: 2}),
        ((1, 2, 1, 2), {3: 2, 4: 3}),
        ((1, 2, 3, 1), {}),
        ((1, 2, 3, 2), {4: 3}),
        ((1, 2, 3), {}),
    ],
    ids=str,
)
def test_a_change_names_the_last_of_the_same_thing_where_it_undoes_it(
    prompts: tuple[int, ...], expected: dict[int, int], engine: Engine
) -> None:
    for hour, prompt in enumerate(prompts):
        fill(engine, model("a/one", prompt=prompt), at=BEGIN + timedelta(hours=hour))
    assert reverts(engine) == expected


@pytest.mark.parametrize(("later", "does"), [(timedelta(0), False), (-timedelta(minutes=1), True)])
def test_what_happened_a_day_ago_is_not_undone_but_changed(
    later: timedelta, does: bool, engine: Engine
) -> None:
    fill(engine, model("a/one", prompt=1), at=day(1))
    fill(engine, model("a/one", prompt=2), at=day(2))
    fill(engine, model("a/one", prompt=1), at=day(2) + REVERTED_WITHIN + later)
    assert bool(reverts(engine)) == does


def test_a_change_that_was_held_undoes_what_is_a_day_old_when_it_is_believed_at_most(engine: Engine) -> None:
    for hour, prompt in ((0, 2), (2, 40), (5, 40), (21, 2), (45, 2)):
        fill(engine, model("a/one", prompt=prompt), at=BEGIN + timedelta(hours=hour), guards=Guards())
    with reading(engine) as connection:
        told = read.changes(connection, since=1, limit=9, kinds=ALL)
    hours = [(change.at - BEGIN) / timedelta(hours=1) for change in told]
    assert (hours, [change.reverts for change in told]) == ([2, 21], [None, None])


def test_another_model_or_another_part_undoes_nothing(engine: Engine) -> None:
    fill(engine, model("a/one", "1", "1"), model("a/two", "2", "1"), at=day(1))
    fill(engine, model("a/one", "2", "1"), model("a/two", "2", "2"), at=day(1.1))
    fill(engine, model("a/one", "2", "2"), model("a/two", "1", "2"), at=day(1.2))
    assert reverts(engine) == {}


def test_a_model_that_comes_and_goes_undoes_its_coming_and_going(engine: Engine) -> None:
    one, stays = model("a/one"), model("a/stays")
    for number, listed in enumerate(([stays], [stays, one], [stays], [stays, one])):
        fill(engine, *listed, at=day(1 + number / 10))
    with reading(engine) as connection:
        told = read.changes(connection, since=1, limit=100, kinds=ALL)
    assert [(str(change.kind), change.reverts) for change in told] == [
        ("added", None),
        ("removed", 2),
        ("returned", 3),
    ]


# The cursor of the feed


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_whoever_follows_the_feed_across_commits_sees_each_change_once(limit: int, engine: Engine) -> None:
    seen: list[int] = []
    for number in range(5):
        listed = (model(f"a/{slug}", prompt=number) for slug in range(number, number + 3))
        fill(engine, *listed, at=day(number + 1))
        while True:
            with reading(engine) as connection:
                cursor = seen[-1] if seen else 0
                found = read.changes(connection, since=cursor, limit=limit, kinds=ALL)
            seen += [change.cursor for change in found]
            if len(found) < limit:
                break
    with reading(engine) as connection:
        everything = read.changes(connection, since=0, limit=1000, kinds=ALL)
    assert seen == [change.cursor for change in everything] == sorted(set(seen))
    assert len(seen) == 3 + 4 * 4  # of each three, two are repriced, one goes and one comes


# No two prices of one model at one time


def beginning(valid_from: float, revision_from: int, model_id: int = 1) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "schedule": "{}",
        "valid_from": day(valid_from),
        "revision_from": revision_from,
    }


BESIDE = {
    "later": beginning(4, 2),
    "earlier": beginning(2, 2),
    "of the same time, said later": beginning(3, 3),
    "of another model": beginning(3, 2, model_id=2),
}


@pytest.fixture
def one_price(engine: Engine) -> Engine:
    """A catalogue with one price, which began on the third day and was said in the second revision."""
    with writing(engine) as connection:
        for slug in ("a/one", "a/two"):
            connection.execute(
                insert(language_models).values(slug=slug, position=0, document=b"{}", first_seen_at=BEGIN)
            )
        connection.execute(insert(dated_prices), [beginning(3, 2)])
    return engine


def test_the_database_refuses_a_second_price_for_the_same_time(one_price: Engine) -> None:
    with pytest.raises(IntegrityError), writing(one_price) as connection:
        connection.execute(insert(dated_prices), [beginning(3, 2)])
    assert len(rows(one_price, dated_prices)) == 1


@pytest.mark.parametrize("how", BESIDE)
def test_the_database_refuses_to_move_a_price_onto_another(how: str, one_price: Engine) -> None:
    with writing(one_price) as connection:
        connection.execute(insert(dated_prices), [BESIDE[how]])
    before = rows(one_price, dated_prices)
    assert len(before) == 2
    move = update(dated_prices).where(dated_prices.c.id == before[1]["id"]).values(**beginning(3, 2))
    with pytest.raises(IntegrityError), writing(one_price) as connection:
        connection.execute(move)
    assert rows(one_price, dated_prices) == before


def test_of_one_model_one_thing_is_held_at_a_time(one_price: Engine) -> None:
    hold = {"model_id": 1, "reason": "odd", "seen_at": BEGIN, "revision_from": 1}
    with writing(one_price) as connection:
        connection.execute(insert(price_holds).values(**hold, revision_to=2, resolution="withdrawn"))
        connection.execute(insert(price_holds).values(**hold))
    with pytest.raises(IntegrityError), writing(one_price) as connection:
        connection.execute(insert(price_holds).values(**hold))
