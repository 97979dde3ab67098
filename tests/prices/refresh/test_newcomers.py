"""A list that grows too much: its new models wait, and are believed when the next list has them too."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, select

from local.standin.client import Standin
from prices.catalogue.changes import ChangeKind
from prices.catalogue.guards import FEW_MODELS, Guards
from prices.history import read
from prices.published.make import make_publication
from prices.published.snapshot import Snapshot
from prices.refresh import commit as commit_module
from prices.refresh.commit import Counts
from prices.refresh.story import refresh_prices
from prices.services import Services
from prices.store import queries
from prices.store.database import reading
from prices.store.tables import language_models
from tests.support.ledger import fill
from tests.support.lists import model

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KNOWN = [model(f"a/known-{number}") for number in range(FEW_MODELS + 2)]
FLOOD = [model(f"b/new-{number}") for number in range(len(KNOWN) + 1)]


def hear(engine: Engine, *models: Any, hours: float = 0, guards: Guards | None = Guards()) -> Counts:  # noqa: B008 - frozen
    return fill(engine, *models, at=NOON + hours * HOUR, guards=guards)


def served(engine: Engine) -> list[str]:
    return list(Snapshot(*make_publication(engine, Decimal(1))).documents)


def waiting(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        assert queries.catalogue_state(connection).is_holding == bool(queries.newcomers(connection))
        return set(queries.newcomers(connection))


def slugs(rows: list[Any]) -> list[str]:
    return [row["id"] for row in rows]


def prompt_at(engine: Engine, slug: str, hours: float, revision: int | None = None) -> str | None:
    with reading(engine) as connection:
        revision = revision or queries.catalogue_state(connection).revision
        found = list(read.prices(connection, revision, at=NOON + hours * HOUR, slug=slug))
    return found[0].schedule.base["prompt"].text if found else None


def added(engine: Engine) -> dict[str, datetime]:
    with reading(engine) as connection:
        told = read.changes(connection, since=0, limit=999, kinds=frozenset(ChangeKind))
    return {change.slug: change.at for change in told if change.kind is ChangeKind.ADDED}


def test_what_more_than_doubles_the_list_is_not_served_and_counted_as_held(engine: Engine) -> None:
    hear(engine, *KNOWN)
    counts = hear(engine, *KNOWN, *FLOOD, hours=3)
    assert (counts.held, counts.changes, counts.revision) == (len(FLOOD), 0, 1)
    assert served(engine) == slugs(KNOWN)
    assert waiting(engine) == set(slugs(FLOOD))


def test_the_prices_of_known_models_move_on_meanwhile(engine: Engine) -> None:
    hear(engine, *KNOWN)
    moved = [model("a/known-0", "0.000003"), *KNOWN[1:]]
    counts = hear(engine, *FLOOD, *moved, hours=3)
    assert (counts.held, counts.changes) == (len(FLOOD), 1)
    assert served(engine) == slugs(KNOWN)
    assert prompt_at(engine, "a/known-0", 3) == "0.000003"


def test_the_second_time_they_are_believed_and_were_there_from_the_first(engine: Engine) -> None:
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    counts = hear(engine, *FLOOD, *KNOWN, hours=6)
    assert (counts.held, counts.changes, counts.revision) == (0, len(FLOOD), 2)
    assert served(engine) == slugs(FLOOD + KNOWN)
    assert waiting(engine) == set()
    slug = FLOOD[0]["id"]
    assert [prompt_at(engine, slug, hours) for hours in (2.99, 3, 6)] == [None, "0.000001", "0.000001"]
    assert prompt_at(engine, slug, 4, revision=1) is None
    assert added(engine)[slug] == NOON + 3 * HOUR
    with reading(engine) as connection:
        query = select(language_models.c.first_seen_at).where(language_models.c.slug == slug)
        assert connection.scalar(query) == NOON + 3 * HOUR
    again = hear(engine, *FLOOD, *KNOWN, hours=9)
    assert (again.held, again.changes, again.revision) == (0, 0, 2)


def test_one_that_costs_something_else_the_second_time_was_not_there_before(engine: Engine) -> None:
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    hear(engine, *KNOWN, model(FLOOD[0]["id"], "0.5"), *FLOOD[1:], hours=6)
    assert [prompt_at(engine, FLOOD[0]["id"], hours) for hours in (5, 6)] == [None, "0.5"]
    assert [prompt_at(engine, FLOOD[1]["id"], hours) for hours in (5, 6)] == ["0.000001", "0.000001"]


def test_those_that_are_gone_the_next_time_leave_nothing(engine: Engine) -> None:
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    counts = hear(engine, *KNOWN, hours=6)
    assert (counts.held, counts.changes, counts.revision) == (0, 0, 1)
    assert waiting(engine) == set()
    with reading(engine) as connection:
        assert len(connection.scalars(select(language_models.c.slug)).all()) == len(KNOWN)


def test_those_of_another_flood_wait_in_their_place(engine: Engine) -> None:
    hear(engine, *KNOWN)
    for flood in range(3):
        rows = [model(f"c/{flood}-{number}") for number in range(50)]
        assert hear(engine, *KNOWN, *rows, hours=3 + flood).held == len(rows)
        assert waiting(engine) == set(slugs(rows))
    assert served(engine) == slugs(KNOWN)


def test_of_those_that_wait_the_ones_that_stay_are_believed(engine: Engine) -> None:
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    counts = hear(engine, *KNOWN, *FLOOD[:3], model("c/late"), hours=6)
    assert (counts.held, counts.changes) == (0, 4)
    assert served(engine) == [*slugs(KNOWN), *slugs(FLOOD[:3]), "c/late"]
    assert added(engine)["c/late"] == NOON + 6 * HOUR


def test_the_log_says_why_they_wait_and_nothing_once_they_are_confirmed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[dict[str, Any]] = []
    monkeypatch.setattr(commit_module.log, "warning", lambda _event, **fields: warnings.append(fields))
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    assert warnings == [{"reason": f"the list would grow from {len(KNOWN)} by {len(FLOOD)} models"}]
    hear(engine, *KNOWN, *FLOOD, hours=6)
    assert len(warnings) == 1


def test_one_whose_row_is_garbled_waits_on(engine: Engine) -> None:
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    slug = FLOOD[0]["id"]
    counts = hear(engine, *KNOWN, model(slug, "NaN"), *FLOOD[1:], hours=6)
    assert (counts.held, counts.changes, counts.skipped_rows) == (1, len(FLOOD) - 1, 1)
    assert waiting(engine) == {slug}
    assert hear(engine, *KNOWN, *FLOOD, hours=9).changes == 1
    assert prompt_at(engine, slug, 3) == "0.000001"


def test_a_first_list_is_believed_whole(engine: Engine) -> None:
    assert hear(engine, *KNOWN, *FLOOD).held == 0
    assert served(engine) == slugs(KNOWN + FLOOD)


def test_as_many_as_there_are_may_come_at_once(engine: Engine) -> None:
    hear(engine, *KNOWN)
    assert hear(engine, *KNOWN, *FLOOD[1:], hours=3).held == 0


def test_a_short_list_may_always_get_a_few(engine: Engine) -> None:
    hear(engine, model("a/only"))
    few = FLOOD[:FEW_MODELS]
    assert hear(engine, model("a/only"), *few, hours=3).changes == len(few)


def test_models_that_return_are_no_flood(engine: Engine) -> None:
    hear(engine, *KNOWN, *FLOOD)
    for hours in (3, 6):  # such a loss is held the first time
        hear(engine, *KNOWN[:2], hours=hours)
    assert served(engine) == slugs(KNOWN[:2])
    counts = hear(engine, *KNOWN, *FLOOD, hours=9)
    assert (counts.held, counts.changes) == (0, len(KNOWN + FLOOD) - 2)


def test_without_guards_those_that_wait_and_those_that_would_are_believed(engine: Engine) -> None:
    hear(engine, *KNOWN)
    hear(engine, *KNOWN, *FLOOD, hours=3)
    counts = hear(
        engine, *KNOWN, *FLOOD, *(model(f"c/{number}") for number in range(99)), hours=6, guards=None
    )
    assert (counts.held, counts.changes) == (0, len(FLOOD) + 99)
    assert (added(engine)[FLOOD[0]["id"]], added(engine)["c/0"]) == (NOON + 3 * HOUR, NOON + 6 * HOUR)


def test_a_clock_that_was_set_back_makes_no_price_of_the_future(engine: Engine) -> None:
    hear(engine, *KNOWN)
    odd = [model("a/known-0", "0.5"), *KNOWN[1:]]
    hear(engine, *odd, *FLOOD, hours=30)
    hear(engine, *odd, *FLOOD, hours=6)
    assert [prompt_at(engine, slug, 6) for slug in ("a/known-0", FLOOD[0]["id"])] == ["0.5", "0.000001"]


# Through whole refreshes


def refresh(services: Services, **how: Any) -> Any:
    return refresh_prices(services, worker="test", force=True, **how)


def test_a_flood_is_held_until_upstream_says_the_very_same_again(
    services: Services, standin: Standin
) -> None:
    standin.answer(items=20)
    refresh(services)
    standin.clear()
    held = refresh(services)
    assert (held.held, held.changes) == (held.models - 20, 0)
    assert len(served(services.engine)) == 20
    confirmed = refresh(services)
    assert (confirmed.held, confirmed.changes) == (0, held.models - 20)
    assert len(served(services.engine)) == confirmed.models
    again = refresh(services)
    assert (again.held, again.changes, again.revision) == (0, 0, confirmed.revision)


def test_a_flood_can_be_accepted_at_once(services: Services, standin: Standin) -> None:
    standin.answer(items=20)
    refresh(services)
    standin.clear()
    assert refresh(services, accept_held=True).held == 0
    assert len(served(services.engine)) > 40


@pytest.mark.parametrize(("growth", "is_held"), [("1", True), ("3", False), ("0.5", True)])
def test_the_share_that_may_come_is_a_setting(
    growth: str, is_held: bool, services: Services, standin: Standin
) -> None:
    services = replace(services, settings=replace(services.settings, guard_growth=Decimal(growth)))
    standin.answer(items=20)
    refresh(services)
    standin.clear()
    assert bool(refresh(services).held) is is_held
