"""What a received list changes: each model stands in one place, and a garbled row changes nothing."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from prices.changes import CatalogueDiff, compare
from prices.language_model import LanguageModel
from prices.openrouter import OpenRouterList
from tests.prices.lists import listed, model

EVENING = datetime(2026, 8, 6, 18, tzinfo=UTC)


def stored(read: OpenRouterList) -> dict[str, LanguageModel]:
    return {
        row.id: LanguageModel(row.id, position, row.document, row.schedule, row_id=100 + position)
        for position, row in enumerate(read.models)
    }


def slugs(diff: CatalogueDiff) -> dict[str, list[str]]:
    kinds = ("added", "returned", "repriced", "edited", "removed")
    return {kind: found for kind in kinds if (found := [one.slug for one in getattr(diff, kind)])}


def between(before: OpenRouterList, after: OpenRouterList) -> dict[str, list[str]]:
    return slugs(compare(stored(before), {}, after, EVENING))


def test_the_same_list_changes_nothing() -> None:
    same = listed(model("a/one"), model("a/two"))
    diff = compare(stored(same), {}, same, EVENING)
    assert (diff.is_empty, diff.changes) == (True, 0)


def test_every_kind_of_change_is_told_apart_and_the_row_is_kept() -> None:
    before = listed(model("a/stays"), model("a/dearer"), model("a/renamed"), model("a/gone"))
    after = listed(
        model("a/stays"),
        model("a/dearer", prompt="0.5"),
        model("a/renamed", name="New"),
        model("a/back"),
        model("a/new"),
    )
    diff = compare(stored(before), {"a/back": 7}, after, EVENING)
    assert slugs(diff) == {
        "added": ["a/new"],
        "returned": ["a/back"],
        "repriced": ["a/dearer"],
        "edited": ["a/renamed"],
        "removed": ["a/gone"],
    }
    assert (diff.changes, diff.is_empty) == (4, False)
    assert [one.row_id for one in (*diff.added, *diff.returned, *diff.repriced)] == [None, 7, 101]


def test_another_place_in_the_list_is_an_edit_and_no_change() -> None:
    one, two = model("a/one"), model("a/two")
    diff = compare(stored(listed(one, two)), {}, listed(two, one), EVENING)
    assert slugs(diff) == {"edited": ["a/two", "a/one"]}
    assert (diff.changes, diff.is_empty) == (0, False)


def test_a_price_in_another_spelling_is_an_edit_and_no_change() -> None:
    before, after = listed(model("a/b", prompt="0.10")), listed(model("a/b", prompt=0.1))
    assert between(before, after) == {"edited": ["a/b"]}


def test_free_dynamic_and_unknown_are_never_the_same_price() -> None:
    free, dynamic, unknown = ({"image": "0"}, {"image": "-1"}, {})
    for one in (free, dynamic, unknown):
        for other in (free, dynamic, unknown):
            moved = between(listed(model("a/b", pricing=one)), listed(model("a/b", pricing=other)))
            assert moved == ({} if one is other else {"repriced": ["a/b"]})


def test_a_garbled_row_leaves_its_model_as_it_is_and_adds_none() -> None:
    before = listed(model("a/one"), model("a/known"))
    after = listed(model("a/one"), model("a/known", prompt="NaN"), model("a/unknown", prompt="NaN"))
    assert between(before, after) == {}


def test_a_tombstone_whose_row_is_garbled_does_not_return() -> None:
    after = listed(model("a/one"), model("a/back", prompt="NaN"))
    assert slugs(compare(stored(listed(model("a/one"))), {"a/back": 7}, after, EVENING)) == {}


def test_a_window_that_rotates_is_an_edit_and_no_change() -> None:
    windows = [
        {"utc_start": 0, "utc_end": 1200, "prompt": "0.000001"},
        {"utc_start": 1200, "utc_end": 0, "prompt": "0.000003"},
    ]
    morning, evening = (
        listed(model("a/b", prompt=prompt, pricing={"overrides": windows}))
        for prompt in ("0.000001", "0.000003")
    )
    diff = compare(stored(morning), {}, evening, EVENING)
    assert slugs(diff) == {"edited": ["a/b"]}
    (edited,) = diff.edited
    assert edited.schedule.base["prompt"].text == "0.000001"  # what the window hides still holds


def test_a_base_price_that_moves_outside_its_window_is_a_change() -> None:
    windows = [{"utc_start": 0, "utc_end": 1200, "prompt": "0.000001"}]
    before, after = (
        listed(model("a/b", prompt=prompt, pricing={"overrides": windows})) for prompt in ("0.1", "0.2")
    )
    assert between(before, after) == {"repriced": ["a/b"]}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a/1", "a/2", "a/3", "a/4"]),
        st.sampled_from(["0", "-1", "1", "2", "NaN"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=8,
)


def read_of(rows: list[tuple[str, str, int]]) -> OpenRouterList:
    always: list[Any] = [model("z/always")]
    return listed(*always, *(model(slug, prompt=prompt, context_length=size) for slug, prompt, size in rows))


@settings(deadline=None, max_examples=60)
@given(ROWS, ROWS)
def test_each_model_stands_in_one_place_and_a_diff_applied_leads_to_the_list(before: Any, after: Any) -> None:
    known, read = stored(read_of(before)), read_of(after)
    diff = compare(known, {}, read, EVENING)

    touched = [slug for found in slugs(diff).values() for slug in found]
    assert len(touched) == len(set(touched))
    applied = dict(known)
    for one in (*diff.added, *diff.returned, *diff.repriced, *diff.edited):
        applied[one.slug] = one
    for one in diff.removed:
        del applied[one.slug]
    usable = {row.id: row for row in read.models}
    assert {slug: applied[slug].document for slug in usable} == {
        slug: row.document for slug, row in usable.items()
    }
    kept = applied.keys() - usable.keys()
    assert kept <= {row.id for row in read.skipped}
    assert all(applied[slug] is known[slug] for slug in kept)
