"""Models priced by the hour: the clock moving is no change, and every hour has the price upstream gave it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from local.standin import catalogue
from local.standin.catalogue import ODDITIES
from local.standin.moves import mirrored
from prices.catalogue.diff import compare
from prices.catalogue.differences import CatalogueDiff, Hold
from prices.catalogue.guards import Guards
from prices.catalogue.model import LanguageModel
from prices.history import read
from prices.pricing.override import STALE_MINUTES
from prices.pricing.rates import rates_at
from prices.store.database import reading
from prices.store.queries import catalogue_state
from prices.upstream.model_list import OpenRouterList, parse
from tests.support.laws import examples
from tests.support.ledger import feed
from tests.support.lists import listed, model

DAY_BEGINS = datetime(2026, 8, 6, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

BASE = {"prompt": "0.000002", "completion": "0.000008"}
PRICINGS: dict[str, list[dict[str, Any]]] = {
    "by/day": [{"utc_start": 900, "utc_end": 1700, "prompt": "0.000003"}],
    "past/midnight": [{"utc_start": 2200, "utc_end": 415, "prompt": "0.000001", "completion": "0.000004"}],
    "around/the-day": [
        {"utc_start": 30, "utc_end": 1630, "prompt": "0.0000004", "completion": "0.0000016"},
        {"utc_start": 1630, "utc_end": 30, "prompt": "0.0000002", "completion": "0.0000008"},
    ],
    "from/midnight": [{"utc_end": 600, "prompt": "0.000001"}, {"utc_start": 1800, "prompt": "0.0000005"}],
    "one/minute": [{"utc_start": 1200, "utc_end": 1201, "prompt": "0.000005"}],
    "window/and-tier": [
        {"utc_start": 800, "utc_end": 2000, "prompt": "0.000003", "completion": "0.000009"},
        {"utc_start": 800, "utc_end": 2000, "min_prompt_tokens": 200000, "prompt": "0.000006"},
        {"min_prompt_tokens": 200000, "completion": "0.00002"},
    ],
    "on/thursdays": [{"utc_days": ["thursday"], "prompt": "0.000003"}],
    "on/thursday-nights": [
        {"utc_days": ["thursday"], "utc_start": 2100, "utc_end": 300, "prompt": "0.0000015"},
        {"utc_days": ["friday", "saturday"], "utc_start": 700, "completion": "0.00001"},
    ],
    "one/over-another": [
        {"utc_start": 600, "utc_end": 1800, "prompt": "0.000003", "input_cache_read": "0.0000003"},
        {"utc_start": 1000, "utc_end": 1200, "prompt": "0.000004"},
    ],
}


def list_at(at: datetime) -> OpenRouterList:
    """What upstream would send at a time: the window in force stands in the place of the base."""
    rows = (
        model(slug, pricing=mirrored(BASE | {"overrides": rules}, at)) for slug, rules in PRICINGS.items()
    )
    return listed(*rows)


def said(read: OpenRouterList) -> dict[str, dict[str, str]]:
    return {row.id: {name: price.text for name, price in row.schedule.base.items()} for row in read.models}


class Catalogue:
    """A catalogue in memory, led from list to list as commits would."""

    def __init__(self) -> None:
        self.models: dict[str, LanguageModel] = {}

    def hear(self, read: OpenRouterList, at: datetime) -> CatalogueDiff:
        diff = compare(self.models.values(), {}, read, at, guards=Guards())
        self.take(diff)
        return diff

    def take(self, diff: CatalogueDiff) -> None:
        for one in diff.models:
            assert one.after is not None
            self.models[one.slug] = LanguageModel(
                one.slug, one.after.position, one.after.document, one.after.schedule, 1
            )

    def in_force(self, at: datetime) -> dict[str, dict[str, str]]:
        return {
            slug: {name: price.text for name, price in rates_at(known.schedule, at, 0).known.items()}
            for slug, known in self.models.items()
        }


@pytest.mark.parametrize("first_hour", range(24))
def test_a_day_that_begins_at_any_hour_brings_no_change_and_every_hours_price(first_hour: int) -> None:
    catalogue_, begin = Catalogue(), DAY_BEGINS + first_hour * HOUR
    assert catalogue_.hear(list_at(begin), begin).changes == len(PRICINGS)
    for hour in range(1, 25):
        at = begin + hour * HOUR
        diff = catalogue_.hear(list_at(at), at)
        assert (diff.changes, diff.held) == (0, ())
        assert catalogue_.in_force(at) == said(list_at(at))
    for quarter in range(96):
        at = begin + quarter * 15 * MINUTE
        assert catalogue_.in_force(at) == said(list_at(at))


@pytest.mark.parametrize("late", [1, 2, 30, 61, STALE_MINUTES])
def test_a_list_that_comes_late_out_of_a_cache_is_no_change_at_any_quarter_of_an_hour(late: int) -> None:
    catalogue_ = Catalogue()
    for hour in range(24):
        catalogue_.hear(list_at(DAY_BEGINS + hour * HOUR), DAY_BEGINS + hour * HOUR)
    for quarter in range(96, 3 * 96):
        at = DAY_BEGINS + quarter * 15 * MINUTE
        aged = late * MINUTE if quarter % 3 else timedelta(0)  # some come late, and some do not
        diff = catalogue_.hear(list_at(at - aged), at)
        assert (diff.changes, diff.held) == (0, ())
        assert catalogue_.in_force(at) == said(list_at(at))


@pytest.mark.parametrize("late", [0, 30, STALE_MINUTES])
@pytest.mark.parametrize("first_hour", [0, 6, 11, 12, 17, 23])
def test_a_first_list_that_comes_late_is_taken_for_nothing_that_it_does_not_say(
    first_hour: int, late: int
) -> None:
    catalogue_, begin = Catalogue(), DAY_BEGINS + first_hour * HOUR
    catalogue_.hear(list_at(begin - late * MINUTE), begin)
    for quarter in range(96):
        at = begin + quarter * 15 * MINUTE
        told, right = catalogue_.in_force(at), said(list_at(at))
        assert all(told[slug].items() <= right[slug].items() for slug in right)  # unknown at worst


def test_a_window_at_the_price_of_the_base_hides_it_until_the_window_is_long_over() -> None:
    catalogue_, known = Catalogue(), []
    rules = [{"utc_start": 900, "utc_end": 1700, "prompt": "0.000002"}]
    read = listed(model("a/b", pricing=BASE | {"overrides": rules}))
    for hour in range(12, 24):
        at = DAY_BEGINS + hour * HOUR
        assert catalogue_.hear(read, at).changes == (1 if hour == 12 else 0)
        known.append(catalogue_.in_force(at)["a/b"].get("prompt"))
    assert known == ["0.000002"] * 5 + [None] * 2 + ["0.000002"] * 5  # unknown from 17:00 to 18:02


def test_a_genuine_change_within_and_outside_of_a_window_is_seen() -> None:
    catalogue_ = Catalogue()
    for hour in range(12):
        catalogue_.hear(list_at(DAY_BEGINS + hour * HOUR), DAY_BEGINS + hour * HOUR)
    noon = DAY_BEGINS + 12 * HOUR
    rules = [{"utc_start": 900, "utc_end": 1700, "prompt": "0.0000035"}]
    row = model("by/day", pricing=mirrored(BASE | {"completion": "0.000009", "overrides": rules}, noon))
    others = [row for row in list_at(noon).rows if row.id != "by/day"]
    diff = catalogue_.hear(OpenRouterList((listed(row).rows[0], *others), {}), noon)
    found = {(one.slug, str(change.kind), change.part) for one in diff.models for change in one.changes}
    assert found == {("by/day", "raised", "completion"), ("by/day", "schedule", "overrides")}
    assert catalogue_.in_force(noon)["by/day"]["prompt"] == "0.0000035"
    assert catalogue_.in_force(noon + 8 * HOUR)["by/day"]["prompt"] == "0.000002"


# Holds, while windows come and go


@dataclass(frozen=True)
class Step:
    """The next list: how many hours later, and the base price of the prompt that upstream has then."""

    hours: int
    prompt: str


STEPS = st.lists(
    st.builds(Step, st.integers(1, 9), st.sampled_from(["0.000002", "0.00005", "0.0000025"])), max_size=12
)
RULES = st.lists(
    st.builds(
        lambda start, end, days: (
            {"utc_start": start * 100, "utc_end": end * 100, "prompt": "0.000003"}
            | ({"utc_days": days} if days else {})
        ),
        st.integers(0, 23),
        st.integers(0, 24),
        st.sampled_from([None, ["thursday"], ["friday", "saturday"]]),
    ).filter(lambda rule: rule["utc_start"] != rule["utc_end"]),
    max_size=2,
)


@settings(max_examples=examples(150))
@given(RULES, st.integers(0, 23), STEPS)
def test_a_base_price_is_believed_when_it_was_seen_twice_in_a_row_whatever_windows_hide_between(
    rules: list[dict[str, Any]], first_hour: int, steps: list[Step]
) -> None:
    catalogue_, at, held = Catalogue(), DAY_BEGINS + first_hour * HOUR, dict[str, Hold]()
    believed: str | None = None  # what the catalogue must know of the base, None where it was never shown
    doubted: str | None = None  # what was shown once and is too far from that
    for step in [Step(0, "0.000002"), *steps]:
        at += step.hours * HOUR
        read = listed(model("a/b", pricing=mirrored(BASE | {"prompt": step.prompt, "overrides": rules}, at)))
        hidden = "prompt" in read.models[0].schedule.hidden(at)
        diff = compare(catalogue_.models.values(), {}, read, at, held=held, guards=Guards())
        for one in (*diff.confirmed, *diff.withdrawn):
            del held[one.slug]
        held |= {one.slug: one for one in diff.held}
        catalogue_.take(diff)
        if not hidden:
            odd = believed is not None and Decimal(step.prompt) > 10 * Decimal(believed)
            odd = odd or (believed is not None and Decimal(believed) > 10 * Decimal(step.prompt))
            if odd and doubted != step.prompt:
                doubted = step.prompt
            else:
                believed, doubted = step.prompt, None
        price = catalogue_.models["a/b"].schedule.base.get("prompt")
        assert (price.text if price else None, bool(held)) == (believed, doubted is not None)


# The stand-in's models, through the database

WINDOWED = [slug for slug in ODDITIES if slug.startswith("deepwell/")]


def windowed_body(at: datetime) -> bytes:
    rows = [row for row in catalogue.items(len(ODDITIES), at) if row["id"] in WINDOWED]
    return catalogue.encode(catalogue.envelope(rows))


@pytest.fixture(params=[0, 13, 17])
def day_of_lists(request: pytest.FixtureRequest, engine: Engine) -> tuple[Engine, list[datetime]]:
    """A catalogue that heard of windowed models hourly for a day, from some hour on."""
    times = [DAY_BEGINS + (request.param + hour) * HOUR for hour in range(25)]
    changes = [feed(engine, windowed_body(at), at, Guards()).changes for at in times]
    assert changes == [len(WINDOWED)] + [0] * 24
    return engine, times


def test_at_every_hour_of_a_day_the_stand_ins_price_is_given(
    day_of_lists: tuple[Engine, list[datetime]],
) -> None:
    engine, times = day_of_lists
    assert len(WINDOWED) == 4
    with reading(engine) as connection:
        revision = catalogue_state(connection).revision
        for at in times:
            found = {
                price.slug: {
                    name: shown.text for name, shown in rates_at(price.schedule, at, 0).known.items()
                }
                for price in read.prices(connection, revision, at=at)
            }
            for slug, prices in said(parse(windowed_body(at))).items():
                for name, text in prices.items():
                    assert found[slug].get(name) == text, (at, slug, name)
