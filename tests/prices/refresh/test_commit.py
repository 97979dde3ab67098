"""The commit of a refresh: whole, or not at all."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, update

from prices.coordination.runs import finish_run
from prices.errors import ClaimLostError, DatabaseUnavailableError
from prices.history import read
from prices.refresh.commit import MAX_NAMED_ROWS, commit
from prices.refresh.stash import Stash
from prices.runtime.redis_client import Keys
from prices.store import queries
from prices.store.database import reading, utc_now, writing
from prices.store.tables import (
    catalogue,
    dated_prices,
    held_newcomers,
    language_models,
    metadata,
    model_attributes,
    price_changes,
    price_holds,
    received_bodies,
    refresh_runs,
    revisions,
)
from prices.upstream.model_list import parse
from prices.upstream.received import Received
from tests.support.ledger import LEASE, ago, fill, started
from tests.support.lists import body, model

CONTENT = (
    *(catalogue, language_models, dated_prices, revisions, received_bodies),
    *(model_attributes, price_changes, price_holds, held_newcomers),
)


def content(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Everything but the runs, and but the fence that a start moves."""
    with reading(engine) as connection:
        return {
            table.name: sorted(
                tuple(repr(row._mapping[column]) for column in table.columns if column.name != "fence")
                for row in connection.execute(select(table))
            )
            for table in CONTENT
        }


def served(engine: Engine) -> dict[str, str]:
    with reading(engine) as connection:
        return {one.slug: one.schedule.base["prompt"].text for one in queries.listed_models(connection)}


def run_row(engine: Engine, run: int) -> dict[str, Any]:
    with reading(engine) as connection:
        return dict(connection.execute(select(refresh_runs).where(refresh_runs.c.id == run)).one()._mapping)


def test_a_commit_writes_the_list_and_closes_its_run_with_counts(engine: Engine) -> None:
    run = started(engine)
    received = body(model("a/one"), model("a/bad", prompt="NaN"), model("a/two"), total_count=3)
    counts = commit(engine, run, parse(received), Received(received, None, 1.25).receipt, None).counts
    assert (counts.revision, counts.models, counts.changes, counts.skipped_rows) == (1, 2, 2, 1)
    assert list(served(engine)) == ["a/one", "a/two"]
    row = run_row(engine, run)
    assert (row["state"], row["outcome"], row["reason"]) == ("finished", "refreshed", None)
    assert (row["fetch_seconds"], row["received_bytes"], row["revision"]) == (1.25, len(received), 1)
    assert json.loads(row["skipped"]) == ["row 1 (a/bad): pricing.prompt: 'NaN' is not a decimal number"]


def test_the_same_body_again_moves_only_the_time(engine: Engine) -> None:
    fill(engine, model("a/one"))
    before = content(engine)
    counts = fill(engine, model("a/one"))
    after = content(engine)
    assert (counts.revision, counts.changes) == (1, 0)
    assert after.pop("catalogue") != before.pop("catalogue")
    assert after == before


def test_an_edit_is_a_revision_without_changes_and_without_an_interval(engine: Engine) -> None:
    fill(engine, model("a/one", name="One"))
    counts = fill(engine, model("a/one", name="Uno"))
    assert (counts.revision, counts.changes) == (2, 0)
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(dated_prices)) == 1
        (current,) = queries.listed_models(connection)
    assert json.loads(current.document)["name"] == "Uno"


def test_a_change_of_the_envelope_alone_is_a_revision_too(engine: Engine) -> None:
    fill(engine, model("a/one"))
    assert fill(engine, model("a/one"), notice="hello").revision == 2
    with reading(engine) as connection:
        assert queries.catalogue_state(connection).envelope == {"notice": "hello"}


def test_numbers_are_given_without_gaps_to_what_changed(engine: Engine) -> None:
    for prompt in ("1", "1", "2", "2", "3"):
        fill(engine, model("a/one", prompt=prompt))
    with reading(engine) as connection:
        assert connection.scalars(select(revisions.c.revision).order_by(revisions.c.revision)).all() == [
            1,
            2,
            3,
        ]


def test_a_superseded_run_writes_nothing(engine: Engine) -> None:
    fill(engine, model("a/one"))
    first = started(engine)
    with writing(engine) as connection:
        connection.execute(update(refresh_runs).values(heartbeat_at=utc_now(connection) - 2 * LEASE))
    second = started(engine)
    before = content(engine)
    received = body(model("a/one", prompt="9"), model("a/two"))
    with pytest.raises(ClaimLostError):
        commit(engine, first, parse(received), Received(received, None, 0.1).receipt, None)
    assert content(engine) == before
    committed = commit(engine, second, parse(received), Received(received, None, 0.1).receipt, None)
    assert committed.counts.changes == 2


def test_a_run_that_was_closed_by_another_writes_nothing(engine: Engine) -> None:
    fill(engine, model("a/one"))
    run = started(engine)
    with writing(engine) as connection:
        finish_run(connection, run, utc_now(connection), outcome="failed", reason="closed by an operator")
    before = content(engine)
    received = body(model("a/two"))
    with pytest.raises(ClaimLostError, match="closed by another"):
        commit(engine, run, parse(received), Received(received, None, 0.1).receipt, None)
    assert content(engine) == before


@pytest.mark.parametrize(
    "table", ["language_models", "dated_prices", "revisions", "catalogue", "refresh_runs"]
)
def test_a_commit_that_fails_partway_leaves_nothing(table: str, engine: Engine) -> None:
    fill(engine, model("a/one"), model("a/gone"))
    run = started(engine)
    before = content(engine)
    received = body(model("a/one", prompt="9"), model("a/two"))

    def fail(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        writes = statement.startswith((f"INSERT INTO {table}", f"UPDATE {table} SET"))
        if writes and not statement.startswith("UPDATE catalogue SET fence"):
            raise DatabaseUnavailableError("the connection broke here")

    event.listen(engine, "after_cursor_execute", fail)
    with pytest.raises(DatabaseUnavailableError):
        commit(engine, run, parse(received), Received(received, None, 0.1).receipt, None)
    event.remove(engine, "after_cursor_execute", fail)

    assert content(engine) == before
    assert run_row(engine, run)["state"] == "running"
    committed = commit(engine, run, parse(received), Received(received, None, 0.1).receipt, None)
    assert committed.counts.changes == 3
    assert served(engine) == {"a/one": "9", "a/two": "0.000001"}


def test_a_model_that_left_and_came_back_keeps_its_row_and_its_history(engine: Engine) -> None:
    fill(engine, model("a/stays"), model("a/b", prompt="1"))
    fill(engine, model("a/stays"))
    assert fill(engine, model("a/stays"), model("a/b", prompt="2")).changes == 1
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(language_models)) == 2
        assert queries.tombstones(connection) == {}
        ended, current = read.intervals(connection, "a/b")
    assert ended.schedule.base["prompt"].text == "1"
    assert ended.valid_to
    assert ended.valid_from <= ended.valid_to <= current.valid_from
    assert current.valid_to is None


def test_the_base_price_hidden_by_a_window_is_learned_when_the_window_ends(engine: Engine) -> None:
    window = {"utc_start": 1200, "utc_end": 1500, "prompt": "0.000001"}
    siesta = {"overrides": [window]}
    within, after = (datetime(2026, 8, 6, hour, 30, tzinfo=UTC) for hour in (12, 16))
    fill(engine, model("a/siesta", prompt="0.000001", pricing=siesta), at=within)
    with reading(engine) as connection:
        (first,) = queries.listed_models(connection)
    assert (set(first.schedule.base), first.schedule.unseen) == ({"completion"}, {"prompt"})
    learned = fill(engine, model("a/siesta", prompt="0.000002", pricing=siesta), at=after)
    assert (learned.revision, learned.changes) == (2, 0)
    assert served(engine) == {"a/siesta": "0.000002"}


def test_a_body_is_confirmed_and_valid_from_when_it_was_received(engine: Engine) -> None:
    received_at = ago(engine, timedelta(hours=1))
    fill(engine, model("a/one"), at=received_at)
    with reading(engine) as connection:
        state = queries.catalogue_state(connection)
        (current,) = connection.execute(select(dated_prices)).all()
        (known,) = connection.execute(select(revisions)).all()
    assert state.refreshed_at == current.valid_from == known.committed_at == received_at


def test_a_body_that_waited_never_begins_before_the_last_revision(engine: Engine) -> None:
    fill(engine, model("a/one", prompt="1"))
    fill(engine, model("a/one", prompt="2"), at=ago(engine, timedelta(hours=1)))
    with reading(engine) as connection:
        (current,) = read.intervals(connection, "a/one")
        times = connection.scalars(select(revisions.c.committed_at).order_by(revisions.c.revision)).all()
    assert (current.schedule.base["prompt"].text, current.valid_from) == ("2", times[0])
    assert times == sorted(times)


def test_a_commit_forgets_the_stashed_body(engine: Engine) -> None:
    Stash(None, engine, "https://upstream.test", timedelta(hours=1), keys=Keys()).put(started(engine), b"x")
    with writing(engine) as connection:
        connection.execute(update(refresh_runs).values(heartbeat_at=utc_now(connection) - 2 * LEASE))
    fill(engine, model("a/one"))
    with reading(engine) as connection:
        assert connection.execute(select(received_bodies)).all() == []


def test_texts_of_every_kind_are_stored_as_they_came(engine: Engine) -> None:
    name = "Zoë 🦊 'quoted\" \\ % :name \u0000 \u2028"
    row = model("~a_B/c-D.e:free", name=name, context_length=10**30)
    fill(engine, row)
    with reading(engine) as connection:
        (current,) = queries.listed_models(connection)
    assert json.loads(current.document) == row


def test_only_some_of_many_skipped_rows_are_named_and_all_are_counted(engine: Engine) -> None:
    run = started(engine)
    bad = [model(f"a/bad-{number}", prompt="NaN") for number in range(MAX_NAMED_ROWS + 5)]
    received = body(model("a/one"), *bad)
    assert (
        commit(engine, run, parse(received), Received(received, None, 0.1).receipt, None).counts.skipped_rows
        == MAX_NAMED_ROWS + 5
    )
    assert len(json.loads(run_row(engine, run)["skipped"])) == MAX_NAMED_ROWS


def test_a_catalogue_larger_than_a_statement_is_stored_changed_and_removed(engine: Engine) -> None:
    many = 1200
    fill(engine, *(model(f"a/{number}") for number in range(many)))
    assert fill(engine, *(model(f"a/{number}", prompt="5") for number in range(many))).changes == many
    assert set(served(engine).values()) == {"5"}
    assert fill(engine, model("a/0", prompt="5")).changes == many - 1
    assert list(served(engine)) == ["a/0"]


def test_every_table_that_a_commit_writes_is_looked_at_here() -> None:
    assert {table.name for table in CONTENT} == set(metadata.tables) - {"refresh_runs"}
