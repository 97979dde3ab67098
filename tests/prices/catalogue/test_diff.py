"""What a received list makes of the catalogue: each model stands in one place, what is odd is held."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.catalogue.changes import ChangeKind
from prices.catalogue.diff import compare
from prices.catalogue.differences import CatalogueDiff, Hold, ModelDiff
from prices.catalogue.guards import Guards
from prices.catalogue.model import LanguageModel
from prices.pricing.override import STALE_MINUTES
from prices.upstream.model_list import OpenRouterList
from tests.support.laws import examples
from tests.support.lists import listed, model

EVENING = datetime(2026, 8, 6, 18, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stored(read: OpenRouterList) -> dict[str, LanguageModel]:
    return {
        row.id: LanguageModel(row.id, position, row.document, row.schedule, row_id=100 + position)
        for position, row in enumerate(read.models)
    }


def vanished(*rows: Any) -> dict[str, LanguageModel]:
    """Models that upstream no longer listed, with the last price of each."""
    return stored(listed(*rows))


BACK = vanished(model("a/back"))


def outcome_of(diff: ModelDiff) -> str:
    if not diff.was_listed:
        return str(diff.changes[0].kind)
    if diff.after is None:
        return "removed"
    return "repriced" if diff.reprices else "learned" if diff.learns else "edited"


def outcomes(diff: CatalogueDiff) -> dict[str, str]:
    return {one.slug: outcome_of(one) for one in diff.models}


def between(before: OpenRouterList, after: OpenRouterList, at: datetime = EVENING) -> dict[str, str]:
    return outcomes(compare(stored(before).values(), {}, after, at))


# What becomes of a model


def test_the_same_list_changes_nothing() -> None:
    same = listed(model("a/one"), model("a/two"))
    diff = compare(stored(same).values(), {}, same, EVENING)
    assert (diff.is_empty, diff.changes) == (True, 0)


def test_every_outcome_is_told_apart_and_the_row_is_kept() -> None:
    before = listed(model("a/stays"), model("a/dearer"), model("a/renamed"), model("a/gone"))
    after = listed(
        model("a/stays"),
        model("a/dearer", prompt="0.5"),
        model("a/renamed", name="New"),
        model("a/back"),
        model("a/new"),
    )
    diff = compare(stored(before).values(), BACK, after, EVENING)
    assert outcomes(diff) == {
        "a/new": "added",
        "a/back": "returned",
        "a/dearer": "repriced",
        "a/renamed": "edited",
        "a/gone": "removed",
    }
    assert (diff.changes, diff.is_empty) == (4, False)
    rows = {one.slug: one.after.row_id for one in diff.models if one.after}
    assert (rows["a/new"], rows["a/back"], rows["a/dearer"]) == (None, 100, 101)


def test_each_part_of_a_price_that_moves_is_counted_and_attributes_are_not() -> None:
    before = listed(model("a/one", context_length=1))
    after = listed(model("a/one", prompt="0.5", completion="0.6", context_length=2))
    diff = compare(stored(before).values(), {}, after, EVENING)
    assert [str(change.kind) for change in diff.models[0].changes] == ["raised", "raised", "attributes"]
    assert diff.changes == 2


def test_a_dimension_that_appears_everywhere_raises_and_lowers_nothing() -> None:
    slugs = [f"a/{number}" for number in range(290)]
    before = listed(*(model(slug) for slug in slugs), model("z/other"))
    cached = {"input_cache_read": "0.0000001"}
    after = listed(*(model(slug, pricing=cached) for slug in slugs), model("z/other"))
    diff = compare(stored(before).values(), {}, after, EVENING, guards=Guards())
    kinds = [change.kind for one in diff.models for change in one.changes]
    assert kinds == [ChangeKind.DIMENSION_ADDED] * 290
    assert (diff.changes, diff.held) == (290, ())


def test_another_place_in_the_list_is_an_edit_and_no_change() -> None:
    one, two = model("a/one"), model("a/two")
    diff = compare(stored(listed(one, two)).values(), {}, listed(two, one), EVENING)
    assert outcomes(diff) == {"a/two": "edited", "a/one": "edited"}
    assert (diff.changes, diff.is_empty) == (0, False)


def test_a_price_in_another_spelling_is_an_edit_and_no_change() -> None:
    before, after = listed(model("a/b", prompt="0.10")), listed(model("a/b", prompt=0.1))
    assert between(before, after) == {"a/b": "edited"}


def test_free_dynamic_and_unknown_are_never_the_same_price() -> None:
    free, dynamic, unknown = ({"image": "0"}, {"image": "-1"}, {})
    for one in (free, dynamic, unknown):
        for other in (free, dynamic, unknown):
            moved = between(listed(model("a/b", pricing=one)), listed(model("a/b", pricing=other)))
            assert moved == ({} if one is other else {"a/b": "repriced"})


def test_a_garbled_row_leaves_its_model_as_it_is_and_adds_none() -> None:
    before = listed(model("a/one"), model("a/known"))
    after = listed(model("a/one"), model("a/known", prompt="NaN"), model("a/unknown", prompt="NaN"))
    assert between(before, after) == {}


def test_a_tombstone_whose_row_is_garbled_does_not_return() -> None:
    after = listed(model("a/one"), model("a/back", prompt="NaN"))
    assert outcomes(compare(stored(listed(model("a/one"))).values(), BACK, after, EVENING)) == {}


def test_a_window_that_rotates_is_an_edit_and_no_change() -> None:
    windows = [
        {"utc_start": 0, "utc_end": 1200, "prompt": "0.000001"},
        {"utc_start": 1200, "utc_end": 0, "prompt": "0.000003"},
    ]
    morning, evening = (
        listed(model("a/b", prompt=prompt, pricing={"overrides": windows}))
        for prompt in ("0.000001", "0.000003")
    )
    diff = compare(stored(morning).values(), {}, evening, EVENING)
    assert outcomes(diff) == {"a/b": "edited"}
    assert diff.models[0].after is not None
    assert diff.models[0].after.schedule.base["prompt"].text == "0.000001"  # what the window hides holds


def test_a_base_price_that_moves_outside_its_window_is_a_change() -> None:
    windows = [{"utc_start": 0, "utc_end": 1200, "prompt": "0.000001"}]
    before, after = (
        listed(model("a/b", prompt=prompt, pricing={"overrides": windows})) for prompt in ("0.1", "0.2")
    )
    assert between(before, after) == {"a/b": "repriced"}


def test_a_base_price_that_a_window_had_hidden_is_learned_and_no_change() -> None:
    windows = [{"utc_start": 1200, "utc_end": 1500, "prompt": "0.000001"}]
    within, after = (
        listed(model("a/b", prompt=prompt, pricing={"overrides": windows})) for prompt in ("0.000001", "0.2")
    )
    first = compare((), {}, within, EVENING.replace(hour=13)).models[0].after
    assert first is not None
    known = {"a/b": LanguageModel("a/b", 0, first.document, first.schedule, 1)}
    diff = compare(known.values(), {}, after, EVENING)
    assert (outcomes(diff), diff.changes) == ({"a/b": "learned"}, 0)


def test_a_dimension_that_only_an_open_window_names_stays_known_to_be_absent_otherwise() -> None:
    rules = {"overrides": [{"utc_start": 1200, "utc_end": 1500, "image": "0.5"}]}
    before, within = (
        listed(model("a/b", pricing=rules)),
        listed(model("a/b", pricing={"image": "0.5"} | rules)),
    )
    diff = compare(stored(before).values(), {}, within, EVENING.replace(hour=13))
    assert (outcomes(diff), diff.changes) == ({"a/b": "edited"}, 0)
    assert diff.models[0].after is not None
    assert diff.models[0].after.schedule == stored(before)["a/b"].schedule


# What returns


def test_a_model_that_returns_is_doubted_against_the_last_price_that_it_had() -> None:
    known, before = stored(listed(OTHER)), vanished(model("a/back", "2", "8"))
    odd = compare(known.values(), before, listed(OTHER, model("a/back", "0", "8")), EVENING, guards=Guards())
    (hold,), (returned,) = odd.held, odd.models
    assert (hold.slug, hold.model_id, hold.reason) == ("a/back", 100, "prompt would be free after 2")
    assert returned.after is not None
    assert returned.after.schedule == before["a/back"].schedule
    assert listed(returned.after.document).models[0].schedule == before["a/back"].schedule
    assert [change.kind for change in returned.changes] == [ChangeKind.RETURNED]

    usual = compare(
        known.values(), before, listed(OTHER, model("a/back", "3", "8")), EVENING, guards=Guards()
    )
    assert usual.held == ()
    assert usual.models[0].after is not None
    assert usual.models[0].after.schedule.base["prompt"].text == "3"


# What is held

GIFT, PAID, OTHER = model("a/gift:free", "0", "0"), model("a/paid", "1", "1"), model("a/other", "1", "1")
USUAL = listed(GIFT, PAID, OTHER)
ODD: dict[str, tuple[str, Any]] = {
    "a price becomes zero": ("a/paid", model("a/paid", "0", "1")),
    "a :free model costs": ("a/gift:free", model("a/gift:free", "0", "0.1")),
    "more than ten times": ("a/paid", model("a/paid", "1", "10.1")),
    "less than a tenth": ("a/paid", model("a/paid", "0.09", "1")),
    "within a rule": ("a/paid", model("a/paid", "1", "1", pricing={"overrides": [{"prompt": "0"}]})),
}
RULED = model("a/paid", "1", "1", pricing={"overrides": [{"prompt": "5"}]})


def usual_before(oddity: str) -> OpenRouterList:
    return listed(GIFT, RULED, OTHER) if oddity == "within a rule" else USUAL


def with_row(before: OpenRouterList, row: Any) -> OpenRouterList:
    """The same list with another row in the place of that model's."""
    (odd,) = listed(row).models
    return OpenRouterList(tuple(odd if one.id == odd.id else one for one in before.rows), {})


def guarded(
    known: Mapping[str, LanguageModel],
    read: OpenRouterList,
    held: tuple[Hold, ...] = (),
    at: datetime = EVENING,
) -> CatalogueDiff:
    return compare(known.values(), {}, read, at, held={hold.slug: hold for hold in held}, guards=Guards())


@pytest.mark.parametrize("oddity", ODD)
def test_what_is_odd_is_held_and_the_price_stays(oddity: str) -> None:
    slug, row = ODD[oddity]
    before = usual_before(oddity)
    known = stored(before)
    diff = guarded(known, with_row(before, row))
    (hold,) = diff.held
    (odd,) = listed(row).models
    assert (hold.slug, hold.model_id, hold.seen_at) == (slug, known[slug].row_id, EVENING)
    assert hold.schedule == odd.schedule
    assert (diff.changes, outcomes(diff)) == (0, {})


@pytest.mark.parametrize("oddity", ODD)
def test_what_is_said_twice_is_confirmed_as_of_the_first_time(oddity: str) -> None:
    slug, row = ODD[oddity]
    known, odd = stored(usual_before(oddity)), with_row(usual_before(oddity), row)
    held = guarded(known, odd).held
    diff = guarded(known, odd, held, EVENING + HOUR)
    assert (diff.held, diff.confirmed, diff.withdrawn) == ((), held, ())
    assert outcomes(diff) == {slug: "repriced"}
    assert diff.models[0].since == EVENING
    (row_read,) = listed(row).models
    assert diff.models[0].after is not None
    assert diff.models[0].after.schedule == row_read.schedule


@pytest.mark.parametrize("oddity", ODD)
def test_what_is_taken_back_leaves_the_price_and_no_change(oddity: str) -> None:
    _slug, row = ODD[oddity]
    known = stored(usual_before(oddity))
    held = guarded(known, with_row(usual_before(oddity), row)).held
    diff = guarded(known, usual_before(oddity), held, EVENING + HOUR)
    assert (diff.held, diff.confirmed, diff.withdrawn) == ((), (), held)
    assert (diff.changes, outcomes(diff), diff.is_empty) == (0, {}, False)


def test_another_odd_price_takes_the_place_of_what_was_held() -> None:
    known = stored(USUAL)
    first = guarded(known, with_row(USUAL, model("a/paid", "0", "1"))).held
    diff = guarded(known, with_row(USUAL, model("a/paid", "99", "1")), first, EVENING + HOUR)
    (second,) = diff.held
    assert (diff.withdrawn, diff.confirmed, diff.changes) == (first, (), 0)
    assert (second.seen_at, second.schedule and second.schedule.base["prompt"].text) == (
        EVENING + HOUR,
        "99",
    )


def test_an_ordinary_price_after_an_odd_one_is_believed_at_once() -> None:
    known = stored(USUAL)
    held = guarded(known, with_row(USUAL, model("a/paid", "0", "1"))).held
    diff = guarded(known, with_row(USUAL, model("a/paid", "2", "1")), held, EVENING + HOUR)
    assert (diff.withdrawn, diff.held, diff.changes) == (held, (), 1)
    assert diff.models[0].since is None


def test_a_garbled_row_keeps_what_is_held_of_its_model() -> None:
    known = stored(USUAL)
    held = guarded(known, with_row(USUAL, model("a/paid", "0", "1"))).held
    garbled = listed(GIFT, model("a/paid", "NaN", "1"), OTHER)
    assert guarded(known, garbled, held, EVENING + HOUR).is_empty


def test_while_a_price_is_held_all_else_of_the_document_is_new() -> None:
    known = stored(USUAL)
    row = model("a/paid", "0", "1", name="Renamed", context_length=77)
    diff = guarded(known, with_row(USUAL, row))
    (one,) = diff.models
    assert one.after is not None
    assert listed(one.after.document).models[0].schedule == known["a/paid"].schedule
    assert (one.after.attributes.name, one.after.attributes.context_length) == ("Renamed", 77)
    assert {change.part for change in one.changes} == {"name", "context_length"}
    assert one.after.schedule == known["a/paid"].schedule


def test_other_parts_of_a_price_wait_with_the_odd_one() -> None:
    diff = guarded(stored(USUAL), with_row(USUAL, model("a/paid", "0", "2")))
    assert (diff.changes, len(diff.held)) == (0, 1)


def test_an_odd_price_does_not_slip_in_with_a_base_price_that_is_learned() -> None:
    rules = {"overrides": [{"utc_start": 1200, "utc_end": 1500, "prompt": "1"}]}
    first = compare((), {}, listed(model("a/b", "1", "1", pricing=rules)), EVENING.replace(hour=13))
    known = applied({}, first)
    diff = guarded(known, listed(model("a/b", "2", "0", pricing=rules)))
    assert [hold.slug for hold in diff.held] == ["a/b"]
    assert applied(known, diff)["a/b"].schedule == known["a/b"].schedule


# What is held while a window hides it

WINDOW = {"overrides": [{"utc_start": 900, "utc_end": 1700, "prompt": "3"}]}
DAY, NIGHT = EVENING.replace(hour=12), EVENING.replace(hour=20)


def windowed(prompt: str, completion: str = "8", rules: dict[str, Any] = WINDOW) -> OpenRouterList:
    return listed(model("a/paid", prompt, completion, pricing=rules))


def held_by_night() -> tuple[dict[str, LanguageModel], tuple[Hold, ...]]:
    known = stored(windowed("2"))
    return known, guarded(known, windowed("50"), at=NIGHT).held


def test_a_hidden_base_price_neither_confirms_a_hold_nor_withdraws_it() -> None:
    known, held = held_by_night()
    by_day = guarded(known, windowed("3"), held, DAY)
    assert (by_day.confirmed, by_day.withdrawn, by_day.held, by_day.changes) == ((), (), (), 0)
    after = applied(known, by_day)
    assert after["a/paid"].schedule == known["a/paid"].schedule
    assert guarded(after, windowed("50"), held, NIGHT + HOUR).confirmed == held
    assert guarded(after, windowed("2"), held, NIGHT + HOUR).withdrawn == held


def test_what_shows_beside_a_hidden_price_that_is_held_waits_with_it() -> None:
    known, held = held_by_night()
    by_day = guarded(known, windowed("3", "9"), held, DAY)
    assert (by_day.withdrawn, by_day.changes) == (held, 0)
    (hold,) = by_day.held
    assert hold.schedule is not None
    assert {name: price.text for name, price in hold.schedule.base.items()} == {
        "prompt": "50",
        "completion": "9",
    }


def test_other_overrides_withdraw_what_is_held_of_a_price_that_they_hide() -> None:
    known, held = held_by_night()
    all_day = {"overrides": [{"utc_start": 0, "utc_end": 2400, "prompt": "3"}]}
    by_day = guarded(known, windowed("3", rules=all_day), held, DAY)
    assert (by_day.withdrawn, by_day.held, by_day.changes) == (held, (), 1)


def test_without_guards_what_is_held_is_believed_also_while_it_is_hidden() -> None:
    known, held = held_by_night()
    diff = compare(known.values(), {}, windowed("3"), DAY, held={hold.slug: hold for hold in held})
    assert (diff.confirmed, diff.withdrawn) == (held, ())
    assert applied(known, diff)["a/paid"].schedule.base["prompt"].text == "50"


def test_a_diff_tells_until_when_the_same_list_hides_the_same() -> None:
    at = EVENING.replace(hour=12, minute=30)
    until = EVENING.replace(hour=17, minute=STALE_MINUTES - 60) + HOUR
    assert guarded(stored(windowed("2")), windowed("3"), at=at).hides_until == until
    assert guarded(stored(windowed("2")), windowed("2"), at=NIGHT).hides_until is None


# A list that shrinks


def sorted_holds(holds: tuple[Hold, ...]) -> list[Hold]:
    return sorted(holds, key=lambda hold: hold.slug)


def test_more_than_half_of_the_models_gone_is_held_for_each_of_them() -> None:
    known = stored(USUAL)
    diff = guarded(known, listed(OTHER))
    assert [(hold.slug, hold.schedule, hold.reason) for hold in diff.held] == [
        ("a/gift:free", None, "the list would lose 2 of 3 models"),
        ("a/paid", None, "the list would lose 2 of 3 models"),
    ]
    assert diff.changes == 0
    assert outcomes(guarded(known, listed(GIFT, OTHER))) == {"a/paid": "removed", "a/other": "edited"}


def test_a_loss_that_is_said_twice_is_believed_as_of_the_first_time() -> None:
    known = stored(USUAL)
    held = guarded(known, listed(OTHER)).held
    diff = guarded(known, listed(OTHER), held, EVENING + HOUR)
    assert (diff.confirmed, diff.held) == (held, ())
    gone = [one for one in diff.models if one.after is None]
    assert [(one.slug, one.since) for one in gone] == [("a/gift:free", EVENING), ("a/paid", EVENING)]


def test_models_that_are_back_after_a_loss_was_held_never_went() -> None:
    known = stored(USUAL)
    held = guarded(known, listed(OTHER)).held
    diff = guarded(known, USUAL, held, EVENING + HOUR)
    assert (sorted_holds(diff.withdrawn), diff.changes) == (sorted_holds(held), 0)
    assert outcomes(diff) == {}


def test_a_model_whose_price_is_held_may_go_and_its_hold_goes_with_it() -> None:
    known = stored(USUAL)
    held = guarded(known, with_row(USUAL, model("a/paid", "0", "1"))).held
    diff = guarded(known, listed(GIFT, OTHER), held, EVENING + HOUR)
    assert (diff.withdrawn, diff.confirmed) == (held, ())
    assert outcomes(diff)["a/paid"] == "removed"


def test_a_loss_in_the_place_of_a_held_price_is_held_instead() -> None:
    known = stored(USUAL)
    first = guarded(known, with_row(USUAL, model("a/paid", "0", "1"))).held
    diff = guarded(known, listed(OTHER), first, EVENING + HOUR)
    assert diff.withdrawn == first
    assert {hold.slug: hold.schedule for hold in diff.held} == {"a/paid": None, "a/gift:free": None}


def test_without_guards_all_is_believed_and_what_was_held_counts_from_its_first_time() -> None:
    known = stored(USUAL)
    odd = with_row(USUAL, model("a/paid", "0", "1"))
    held = {hold.slug: hold for hold in guarded(known, odd).held}
    again = compare(known.values(), {}, odd, EVENING + HOUR, held=held)
    assert (again.confirmed, again.models[0].since) == (tuple(held.values()), EVENING)
    other = compare(
        known.values(), {}, with_row(USUAL, model("a/paid", "99", "1")), EVENING + HOUR, held=held
    )
    assert (other.withdrawn, other.models[0].since, other.changes) == (tuple(held.values()), None, 1)
    assert outcomes(compare(known.values(), {}, listed(OTHER), EVENING))["a/paid"] == "removed"


# Laws

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a/1", "a/2", "a/3:free", "a/4"]),
        st.sampled_from(["0", "-1", "1", "2", "50", "NaN"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=8,
)


def read_of(rows: list[tuple[str, str, int]]) -> OpenRouterList:
    always: list[Any] = [model("z/always")]
    return listed(*always, *(model(slug, prompt=prompt, context_length=size) for slug, prompt, size in rows))


def applied(known: Mapping[str, LanguageModel], diff: CatalogueDiff) -> dict[str, LanguageModel]:
    """The catalogue as a commit would leave it."""
    after = dict(known)
    for one in diff.models:
        if one.after is None:
            del after[one.slug]
        else:
            row_id = one.after.row_id or 1000 + len(after)
            after[one.slug] = LanguageModel(
                one.slug, one.after.position, one.after.document, one.after.schedule, row_id
            )
    return after


@settings(max_examples=examples(60))
@given(ROWS, ROWS)
def test_each_model_stands_in_one_place_and_a_diff_applied_leads_to_the_list(before: Any, after: Any) -> None:
    known, read = stored(read_of(before)), read_of(after)
    diff = compare(known.values(), {}, read, EVENING)

    touched = [one.slug for one in diff.models]
    assert len(touched) == len(set(touched))
    led_to = applied(known, diff)
    usable = {row.id: row for row in read.models}
    assert {slug: led_to[slug].document for slug in usable} == {
        slug: row.document for slug, row in usable.items()
    }
    kept = led_to.keys() - usable.keys()
    assert kept <= {row.id for row in read.skipped}
    assert all(led_to[slug] is known[slug] for slug in kept)


@settings(max_examples=examples(60))
@given(ROWS, ROWS)
def test_whatever_is_held_a_list_that_is_said_twice_is_believed_and_nothing_stays_held(
    before: Any, after: Any
) -> None:
    known, read = stored(read_of(before)), read_of(after)
    first = guarded(known, read)
    between_times = applied(known, first)
    second = guarded(between_times, read, first.held, EVENING + HOUR)
    believed = applied(known, compare(known.values(), {}, read, EVENING))

    assert (second.held, second.withdrawn) == ((), ())
    assert sorted(hold.slug for hold in second.confirmed) == sorted(hold.slug for hold in first.held)
    assert {slug: one.schedule.to_json() for slug, one in applied(between_times, second).items()} == {
        slug: one.schedule.to_json() for slug, one in believed.items()
    }
    assert first.changes + second.changes == compare(known.values(), {}, read, EVENING).changes
    assert guarded(applied(between_times, second), read, (), EVENING + 2 * HOUR).is_empty


@settings(max_examples=examples(60))
@given(ROWS, ROWS)
def test_a_list_that_is_taken_back_leaves_every_price_it_did_not_add_or_believe(
    before: Any, after: Any
) -> None:
    usual, read = read_of(before), read_of(after)
    known = stored(usual)
    first = guarded(known, read)
    back = guarded(applied(known, first), usual, first.held, EVENING + HOUR)
    assert back.confirmed == ()
    for hold in first.held:
        if hold.schedule and hold.slug in {row.id for row in usual.models}:
            assert hold in back.withdrawn


def test_what_a_window_hides_of_a_model_that_returns_is_as_it_was_and_doubted_later() -> None:
    window = {"overrides": [{"utc_start": 900, "utc_end": 1700, "prompt": "3"}]}
    before = vanished(model("a/back", "2", pricing=window))
    noon, evening = EVENING.replace(hour=12, minute=0), EVENING.replace(hour=20, minute=0)
    while_open = listed(model("a/back", "3", pricing=window))
    (returned,) = compare([], before, while_open, noon, guards=Guards()).models
    assert returned.after is not None
    assert returned.after.schedule == before["a/back"].schedule
    free = listed(model("a/back", "0", pricing=window))
    later = compare([returned.after], {}, free, evening, guards=Guards())
    assert [hold.reason for hold in later.held] == ["prompt would be free after 2"]
