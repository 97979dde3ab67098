"""What changed between two states of a model: each part is a change of one kind, and noise is none."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.catalogue.attributes import Attributes
from prices.catalogue.changes import QUIET, Change, ChangeKind, attribute_changes, moves, price_changes
from prices.pricing.schedule import PriceSchedule
from tests.support.laws import examples
from tests.support.lists import schedule

EVENING = datetime(2026, 8, 6, 18, tzinfo=UTC)
DAY = {"utc_start": 30, "utc_end": 1630, "prompt": "0.0000004"}
NIGHT = {"utc_start": 1630, "utc_end": 30, "prompt": "0.0000002"}
TIER = {"min_prompt_tokens": 32000, "prompt": "0.000003", "completion": "0.00001"}


def kinds(before: PriceSchedule, after: PriceSchedule) -> dict[str, str]:
    return {str(change.part): str(change.kind) for change in price_changes(before, after)}


# Kinds


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("0.000002", "0.000003", "raised"),
        ("0.000002", "0.0000019", "lowered"),
        ("0.000002", "0", "became_free"),
        ("-1", "0", "became_free"),
        ("0", "0.000002", "became_paid"),
        ("-1", "0.000002", "became_paid"),
        ("0.000002", "-1", "became_dynamic"),
        ("0", "-1", "became_dynamic"),
        (None, "0.000002", "dimension_added"),
        (None, "0", "dimension_added"),
        (None, "-1", "dimension_added"),
        ("0.000002", None, "dimension_removed"),
        ("0", None, "dimension_removed"),
        ("0.0000016499998152", "0.00000165", "rounding"),
        ("0.00000165", "0.0000016499998152", "rounding"),
        ("0.000001", "0.00000100000099", "rounding"),
        ("0.000001", "0.000001000001", "raised"),
        ("0.000001", "0.000000999999", "lowered"),
    ],
)
def test_a_price_that_moves_is_one_change_of_its_kind(
    before: str | None, after: str | None, kind: str
) -> None:
    found = price_changes(schedule(image=before), schedule(image=after))
    assert found == (Change(ChangeKind(kind), "image", before, after),)


@pytest.mark.parametrize("price", ["0", "-1", "0.5", None])
def test_free_dynamic_priced_and_unknown_are_never_the_same_price(price: str | None) -> None:
    for other in ("0", "-1", "0.5", None):
        assert bool(kinds(schedule(image=price), schedule(image=other))) == (price != other)


def test_each_part_that_moves_is_a_change_of_its_own() -> None:
    before = schedule(TIER, image="1")
    after = schedule(prompt="0.000001", completion="0.000009", audio="2")
    assert kinds(before, after) == {
        "audio": "dimension_added",
        "completion": "raised",
        "image": "dimension_removed",
        "overrides": "schedule",
        "prompt": "lowered",
    }


def test_the_same_amount_in_another_spelling_is_no_change() -> None:
    assert kinds(schedule(TIER, prompt="0.0000020"), schedule(TIER, prompt="2e-6")) == {}
    assert kinds(schedule(TIER), schedule(TIER | {"prompt": "0.00000300"})) == {}
    assert kinds(schedule(image="-0"), schedule(image="0.000")) == {}


# Overrides


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [TIER | {"min_prompt_tokens": 64000}],
        [TIER | {"prompt": "0.000004"}],
        [{key: value for key, value in TIER.items() if key != "completion"}],
        [TIER, {"min_prompt_tokens": 256000, "prompt": "0.000006"}],
        [TIER | {"utc_days": ["monday"]}],
    ],
    ids=["gone", "from another size", "another price", "a price less", "another tier", "a condition more"],
)
def test_another_rule_is_one_change_of_the_schedule_with_both_rules(overrides: list[dict[str, Any]]) -> None:
    (change,) = price_changes(schedule(TIER), schedule(*overrides))
    assert (change.kind, change.part) == (ChangeKind.SCHEDULE, "overrides")
    assert change.before == (
        '[{"completion":"0.00001","min_prompt_tokens":32000,"prompt":"0.000003"}]'  # upstream's shape
    )
    assert change.after is not None
    assert kinds(PriceSchedule.from_json(f'{{"overrides":{change.after}}}'), schedule(*overrides)) == {
        "completion": "dimension_added",
        "prompt": "dimension_added",
    }


def test_later_rules_win_so_another_order_is_another_schedule() -> None:
    one, other = {"min_prompt_tokens": 1, "prompt": "1"}, {"min_prompt_tokens": 1, "prompt": "2"}
    assert kinds(schedule(one, other), schedule(other, one)) == {"overrides": "schedule"}


@pytest.mark.parametrize(
    ("price", "kind"), [("0.0000030000000001", "rounding"), ("0.0000031", "schedule"), ("-1", "schedule")]
)
def test_rounding_within_the_rules_is_only_rounding(price: str, kind: str) -> None:
    assert kinds(schedule(TIER, NIGHT), schedule(TIER | {"prompt": price}, NIGHT)) == {"overrides": kind}


def test_a_base_price_under_a_tier_moves_like_any_other() -> None:
    assert kinds(schedule(TIER, prompt="0.000001"), schedule(TIER)) == {"prompt": "raised"}


# Windows


def test_what_a_window_hides_before_or_after_is_not_compared() -> None:
    seen = schedule(DAY, NIGHT, prompt="0.0000009")
    unseen = schedule(DAY, NIGHT, prompt="0.0000002").seen_after(None, EVENING)
    assert kinds(seen, unseen) == kinds(unseen, seen) == {}
    dearer = schedule(DAY, NIGHT, prompt="0.0000002", completion="0.00001").seen_after(None, EVENING)
    assert kinds(seen, dearer) == {"completion": "raised"}


def test_a_change_of_a_windows_hours_or_prices_is_one_of_the_schedule() -> None:
    for other in (DAY | {"prompt": "0.0000005"}, DAY | {"utc_end": 1700}):
        assert kinds(schedule(DAY), schedule(other)) == {"overrides": "schedule"}


# Attributes


def test_each_attribute_that_differs_is_a_quiet_change_in_json() -> None:
    before = Attributes("One", 8192, ("text",), ("text",))
    after = Attributes("Uno", None, ("text", "image"), ("text",), reasoning=True)
    assert attribute_changes(before, before) == ()
    assert attribute_changes(before, after) == (
        Change(ChangeKind.ATTRIBUTES, "name", '"One"', '"Uno"'),
        Change(ChangeKind.ATTRIBUTES, "context_length", "8192", "null"),
        Change(ChangeKind.ATTRIBUTES, "inputs", '["text"]', '["text","image"]'),
        Change(ChangeKind.ATTRIBUTES, "reasoning", "false", "true"),
    )
    assert {ChangeKind.ATTRIBUTES, ChangeKind.ROUNDING} == QUIET


# Reverts


def moved(before: str | None, after: str | None, kind: ChangeKind = ChangeKind.RAISED) -> Change:
    return Change(kind, "prompt", before, after)


@pytest.mark.parametrize(
    ("earlier", "later", "does"),
    [
        (moved("1", "2"), moved("2", "1"), True),
        (moved("1", "2"), moved("2", "1.0"), True),
        (moved("1", "2"), moved("2", "1.000000000000001"), False),
        (moved("1", "0"), moved("0", "1"), True),
        (moved(None, "1"), moved("1", None), True),
        (moved("1", None), moved(None, "1"), True),
        (moved("1", None), moved(None, "2"), False),
        (moved("1", "2"), Change(ChangeKind.LOWERED, "completion", "2", "1"), False),
        (Change(ChangeKind.REMOVED), Change(ChangeKind.RETURNED), True),
        (Change(ChangeKind.ADDED), Change(ChangeKind.REMOVED), True),
        (Change(ChangeKind.RETURNED), Change(ChangeKind.REMOVED), True),
        (Change(ChangeKind.REMOVED), Change(ChangeKind.REMOVED), False),
        (Change(ChangeKind.REMOVED, before="x"), moved("1", None), False),
        (Change(ChangeKind.SCHEDULE, "overrides", "[]", "[1]"),) * 2 + (False,),
        (
            Change(ChangeKind.SCHEDULE, "overrides", "[]", "[1]"),
            Change(ChangeKind.SCHEDULE, "overrides", "[1]", "[]"),
            True,
        ),
    ],
)
def test_a_change_undoes_an_earlier_one_where_the_same_thing_is_as_before(
    earlier: Change, later: Change, does: bool
) -> None:
    assert later.undoes(earlier) == does


# Moves, which the guards judge


def test_moves_are_the_amounts_that_both_name_also_within_rules_of_the_same_conditions() -> None:
    before = schedule(TIER, NIGHT, image="1", audio="-1", web_search="0.01")
    after = schedule(NIGHT | {"prompt": "0.00001"}, TIER | {"prompt": "0"}, image="0", audio="1")
    assert [(place, f"{old:f}", f"{new:f}") for place, old, new in moves(before, after) if old != new] == [
        ("image", "1", "0"),
        ("prompt of an override", "0.000003", "0"),
        ("prompt of an override", "0.0000002", "0.00001"),
    ]
    assert "audio" not in {place for place, _old, _new in moves(before, after)}  # dynamic is no amount


def test_what_was_not_seen_has_not_moved() -> None:
    unseen = schedule(DAY, NIGHT, prompt="0.0000002").seen_after(None, EVENING)
    assert {place for place, *_ in moves(unseen, schedule(DAY, NIGHT, prompt="50"))} == {
        "completion",
        "prompt of an override",
    }


# Laws

PRICES = st.sampled_from(["0", "-1", "0.000001", "0.0000010000000001", "0.00001", None])
RULES = st.lists(st.sampled_from([TIER, DAY, NIGHT, {"utc_days": ["monday"], "prompt": "1"}]), max_size=3)
SCHEDULES = st.builds(
    lambda image, audio, rules: schedule(*rules, image=image, audio=audio), PRICES, PRICES, RULES
)


@settings(max_examples=examples(200))
@given(SCHEDULES, SCHEDULES)
def test_there_and_back_undo_each_other_part_by_part(one: PriceSchedule, other: PriceSchedule) -> None:
    there, back = price_changes(one, other), price_changes(other, one)
    assert [change.part for change in there] == [change.part for change in back]
    assert all(later.undoes(earlier) for earlier, later in zip(there, back, strict=True))
    assert price_changes(one, one) == ()


def test_of_overrides_under_equal_conditions_the_one_in_force_is_compared() -> None:
    low, high = ({"min_prompt_tokens": 200000, "prompt": amount} for amount in ("1", "50"))
    twice = schedule(low, high)
    assert all(old == new for _place, old, new in moves(twice, twice))
    assert ("prompt of an override", 50, 50) in set(moves(schedule(high), twice))
