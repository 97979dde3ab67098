"""What is odd about upstream's list, and what comes of each oddity: one table of the seen, one of the unseen.

Oddities of the envelope and of the transfer are tested where they are read: test_openrouter.py (pages,
`total_count`, halves of surrogates, duplicate ids), test_download.py (100 MB, bombs, one byte a second, cut
bodies, redirects), test_refresh.py (HTML with status 200, an empty list, 429) and
test_refresh_of_hostile_lists.py (texts of every kind). Windows are in test_windows.py, what is held in
test_holds.py, rounding in test_changes.py, fields that nobody knows and upstream's order in
tests/web/test_models.py.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from local.standin import catalogue
from local.standin.catalogue import ODDITIES
from prices.catalogue.changes import ChangeKind
from prices.catalogue.guards import Guards
from prices.history import read
from prices.refresh.commit import Counts
from prices.store import queries
from prices.store.database import make_engine, reading
from prices.store.tables import language_models, price_holds
from tests.support.ledger import feed, fill
from tests.support.lists import model

BEGIN = datetime(2025, 8, 7, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
ALL = frozenset(ChangeKind)


def kinds_by_model(engine: Engine, since: int = 0) -> dict[str, Counter[tuple[str, str | None]]]:
    """How many changes of which kind and part each model had after a cursor."""
    found: dict[str, Counter[tuple[str, str | None]]] = {}
    with reading(engine) as connection:
        for change in read.changes(connection, since=since, limit=100_000, kinds=ALL):
            found.setdefault(change.slug, Counter())[str(change.kind), change.part] += 1
    return found


# Seen in upstream's list: the stand-in's odd models, for two days every three hours and then weekly

TIMES = (
    *(BEGIN + hour * HOUR for hour in (0, 3, 6, 9, 10, *range(12, 48, 3))),
    *(BEGIN + week * WEEK + hour * HOUR for week in range(1, 10) for hour in (13, 16)),
)
PRICES = ("prompt", "completion")
EXPECTED: dict[str, dict[str, int]] = {
    "tidewater/noisy-8b": {"rounding": 8},
    "quarry/comes-and-goes": {"removed": 4, "returned": 4},
    "quarry/long-gone": {"removed": 1, "returned": 1},
    "quarry/keys-come-and-go": {"dimension_added": 50, "dimension_removed": 49},
    "glimmer/zero-weeks": {"became_free": 2, "became_paid": 2},
    "glimmer/tenfold-genuine": {"lowered": 10, "raised": 8},
}
"""Changes of each odd model after it came; the others have none, whatever is odd about them."""
HELD: dict[str, dict[str, int]] = {
    "glimmer/zero-hour": {"withdrawn": 1},
    "glimmer/zero-weeks": {"confirmed": 1},
    "glimmer/tenfold-blip": {"withdrawn": 2},
    "glimmer/tenfold-genuine": {"confirmed": 9},
}


@pytest.fixture(scope="module")
def weeks(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A catalogue that heard of the stand-in's odd models for nine weeks."""
    copy = tmp_path_factory.mktemp("oddities") / "weeks.sqlite3"
    copy.write_bytes(migrated_sqlite.read_bytes())
    engine = make_engine(f"sqlite:///{copy}")
    for at in TIMES:
        counts = feed(engine, catalogue.body(len(ODDITIES), at), at, Guards())
        assert counts.skipped_rows == 0
    yield engine
    engine.dispose()


@pytest.mark.parametrize("slug", ODDITIES)
def test_each_odd_model_of_the_stand_in_has_the_changes_that_it_should(slug: str, weeks: Engine) -> None:
    found = kinds_by_model(weeks)[slug]
    assert found.pop(("added", None)) == 1
    assert Counter(kind for kind, _part in found.elements()) == EXPECTED.get(slug, {})
    with reading(weeks) as connection:
        resolutions = connection.scalars(
            select(price_holds.c.resolution).join(language_models).where(language_models.c.slug == slug)
        )
        assert Counter(resolutions) == HELD.get(slug, {})


def test_most_of_what_comes_and_goes_within_hours_is_named_as_undone(weeks: Engine) -> None:
    with reading(weeks) as connection:
        changes = read.changes(connection, since=0, limit=100_000, kinds=ALL)
    by_cursor = {change.cursor: change for change in changes}
    undone = [change for change in changes if change.reverts]
    assert len(undone) > len([change for change in changes if change.kind is not ChangeKind.ADDED]) / 3
    for change in undone:
        earlier = by_cursor[change.reverts or 0]
        assert (earlier.slug, earlier.part) == (change.slug, change.part)
        assert timedelta(0) < change.at - earlier.at < timedelta(days=1)


# Seen in whole lists

MANY = [model(f"a/{number}", prompt=str(1 + number)) for number in range(420)]


def heard(engine: Engine, *lists: list[Any]) -> tuple[Counts, Counter[tuple[str, str | None]]]:
    """Feed lists three hours apart; give what came of the last, and its changes by kind and part."""
    cursor = 0
    for number, rows in enumerate(lists):
        with reading(engine) as connection:
            earlier = read.changes(connection, since=0, limit=100_000, kinds=ALL)
        cursor = earlier[-1].cursor if earlier else 0
        counts = fill(engine, *rows, at=BEGIN + 3 * number * HOUR, guards=Guards())
    found: Counter[tuple[str, str | None]] = Counter()
    for of_one in kinds_by_model(engine, cursor).values():
        found += of_one
    return counts, found


def test_a_key_that_appears_on_290_models_raises_and_lowers_nothing_but_the_four_that_moved(
    engine: Engine,
) -> None:
    after = [
        model(
            row["id"],
            prompt="1.5" if number < 4 else row["pricing"]["prompt"],
            pricing={"input_cache_read": "0.1"} if number < 290 else {},
        )
        for number, row in enumerate(MANY)
    ]
    counts, found = heard(engine, MANY, after)
    assert found == {
        ("dimension_added", "input_cache_read"): 290,
        ("raised", "prompt"): 1,
        ("lowered", "prompt"): 3,
    }
    assert (counts.changes, counts.held) == (294, 0)
    _counts, back = heard(engine, MANY, after, MANY)
    assert back["dimension_removed", "input_cache_read"] == 290


def test_61_models_that_come_and_29_that_go_in_one_step_are_believed_at_once(engine: Engine) -> None:
    new = [model(f"b/{number}") for number in range(61)]
    counts, found = heard(engine, MANY, new + MANY[:-29])
    assert found == {("added", None): 61, ("removed", None): 29}
    assert (counts.models, counts.held) == (420 + 61 - 29, 0)


def test_104_models_that_left_and_came_back_are_the_same_models(engine: Engine) -> None:
    counts, found = heard(engine, MANY, MANY[104:], MANY)
    assert found == {("returned", None): 104}
    assert (counts.models, counts.held) == (420, 0)
    with reading(engine) as connection:
        assert queries.tombstones(connection) == {}
        assert [len(read.intervals(connection, f"a/{number}")) for number in (0, 104)] == [2, 1]


def test_models_priced_zero_without_free_in_their_name_and_free_ones_with_a_price_stay_so(
    engine: Engine,
) -> None:
    rows = [model(f"a/gratis-{number}", "0", "0") for number in range(47)] + [model("a/x:free", "1", "1")]
    counts, found = heard(engine, rows, rows, [*rows, model("a/new")])
    assert (counts.held, found) == (0, {("added", None): 1})


def test_a_slug_that_all_models_share_is_no_key(engine: Engine) -> None:
    shared = [model(f"a/one{variant}", canonical_slug="a/one-1") for variant in ("", ":free", ":batch")]
    other = [row | {"canonical_slug": "a/one-2"} for row in shared]
    counts, found = heard(engine, shared, other)
    assert (counts.models, counts.revision, found) == (3, 2, {})


# Not seen, and survived: what upstream may say next of a model at 1 USD per token

KNOWN = model("a/known", "1", "1")
UNSEEN: dict[str, tuple[Any, bool]] = {
    "no pricing": ({"id": "a/known"}, False),
    "pricing that is null": ({"id": "a/known", "pricing": None}, False),
    "pricing that is a list": ({"id": "a/known", "pricing": []}, False),
    "pricing without a prompt": ({"id": "a/known", "pricing": {"completion": "1"}}, False),
    "a prompt that is null": (model("a/known", None, "1"), False),
    "a prompt that is empty": (model("a/known", "", "1"), False),
    "a prompt that is true": (model("a/known", "1", "1", pricing={"prompt": True}), False),
    "NaN": (model("a/known", "NaN", "1"), False),
    "infinity": (model("a/known", "Infinity", "1"), False),
    "a negative price": (model("a/known", "-0.5", "1"), False),
    "a price beyond all sums": (model("a/known", "1e999999", "1"), False),
    "a price of a hundred digits": (model("a/known", f"0.{'3' * 100}", "1"), False),
    "overrides that are no list": (model("a/known", "1", "1", pricing={"overrides": {"prompt": "2"}}), False),
    "a cut-off id": ({"id": "", "pricing": {"prompt": "1", "completion": "1"}}, False),
    "numbers for prices": (model("a/known", 1, 1.0), True),
    "scientific notation": (model("a/known", "1E0", "10e-1"), True),
    "leading and trailing zeros": (model("a/known", "01.000", "1.0"), True),
    "a key that is no price": (model("a/known", "1", "1", pricing={"currency": "USD"}), True),
    "a key of 300 letters": (model("a/known", "1", "1", pricing={"x" * 300: "0.5"}), True),
    "a key with a NUL": (model("a/known", "1", "1", pricing={"a\x00b": "0.5"}), True),
    "a key that we use ourselves": (model("a/known", "1", "1", pricing={"unseen": "0.5"}), True),
    "an object in pricing": (model("a/known", "1", "1", pricing={"batch": {"prompt": "0.5"}}), True),
    "a name that is a number": (KNOWN | {"name": 5}, True),
    "a context of 30 digits": (KNOWN | {"context_length": 10**30}, True),
    "modalities that are no list": (KNOWN | {"architecture": "text", "supported_parameters": {}}, True),
}


@pytest.mark.parametrize("oddity", UNSEEN)
def test_what_was_never_seen_of_a_row_costs_no_price(oddity: str, engine: Engine) -> None:
    row, is_usable = UNSEEN[oddity]
    first = [KNOWN, model("a/other", "1", "1")]
    after = [row, model("a/other", "2", "1")]
    if not row["id"]:
        after.append(KNOWN)
    counts, found = heard(engine, first, after)
    assert (counts.skipped_rows, counts.held) == (0 if is_usable else 1, 0)
    assert {kind: count for kind, count in found.items() if kind[0] != "attributes"} == {
        ("raised", "prompt"): 1
    }
    with reading(engine) as connection:
        prices = read.prices(connection, counts.revision)
    assert {price.slug: str(price.schedule.base["prompt"].amount) for price in prices} == {
        "a/known": "1",
        "a/other": "2",
    }


def test_a_nul_in_the_name_of_an_overrides_key_reaches_no_table(engine: Engine) -> None:
    def told(odd: str) -> Any:
        entry = {"min_prompt_tokens": 1000, "prompt": "2", "a\x00b": odd}
        return model("a/known", "1", "1", pricing={"overrides": [entry]})

    counts, found = heard(engine, [told("0.5")], [told("0")])
    assert (counts.held, found) == (0, {("schedule", "overrides"): 1})


def test_a_model_that_is_listed_twice_costs_what_is_said_first(engine: Engine) -> None:
    counts, found = heard(engine, [KNOWN], [model("a/known", "2", "1"), model("a/known", "3", "1")])
    assert (counts.skipped_rows, counts.models, found) == (1, 1, {("raised", "prompt"): 1})
    with reading(engine) as connection:
        (known,) = queries.listed_models(connection)
    assert known.schedule.base["prompt"].text == "2"
