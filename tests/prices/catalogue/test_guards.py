"""What is too odd to be believed at once: crossing zero, moves beyond a factor, a list that shrinks."""

from decimal import Decimal
from typing import Any

import pytest

from prices.catalogue.guards import FEW_MODELS, Guards
from tests.support.lists import schedule

GUARDS = Guards()


def doubt(slug: str, before: Any, after: Any, guards: Guards = GUARDS) -> str | None:
    return guards.doubt_price(slug, schedule(image=before), schedule(image=after))


@pytest.mark.parametrize(
    ("slug", "before", "after", "reason"),
    [
        ("a/paid", "0.5", "0", "image would be free after 0.5"),
        ("a/paid", "0", "0.5", None),
        ("a/gift:free", "0", "0.5", "image of a :free model would cost 0.5"),
        ("a/gift:free", "0.5", "0", None),
        ("a/gift:free", "0", "0", None),
        ("a/paid", "0.5", "-1", None),
        ("a/paid", "-1", "0.5", None),
        ("a/paid", "-1", "0", None),
        ("a/gift:free", "0", "-1", None),
        ("a/paid", None, "0.5", None),
        ("a/paid", None, "0", None),
        ("a/gift:free", None, "0.5", None),
        ("a/paid", "0.5", None, None),
    ],
)
def test_crossing_zero_is_doubted_where_it_goes_against_the_models_name(
    slug: str, before: str | None, after: str | None, reason: str | None
) -> None:
    assert doubt(slug, before, after) == reason


@pytest.mark.parametrize("slug", ["a/paid", "a/priced:free"])
@pytest.mark.parametrize(
    ("before", "after", "is_held"),
    [
        ("0.5", "5", False),
        ("0.5", "5.0000000000000001", True),
        ("5", "0.5", False),
        ("5", "0.4999999999999999", True),
        ("0.0000003", "0.000003", False),
        ("0.000003", "0.0000003", False),
        ("0.5", "0.5", False),
    ],
)
def test_exactly_the_factor_is_believed_and_more_is_not(
    slug: str, before: str, after: str, is_held: bool
) -> None:
    expected = f"image would move from {before} to {after}" if is_held else None
    assert doubt(slug, before, after) == expected


@pytest.mark.parametrize(("factor", "is_held"), [("2", True), ("4", False), ("1.000001", True)])
def test_the_factor_is_a_setting(factor: str, is_held: bool) -> None:
    guards = Guards(Decimal(factor))
    for before, after in (("1", "4"), ("4", "1")):
        assert (doubt("a/b", before, after, guards) is not None) == is_held


def test_a_price_within_a_rule_is_guarded_like_the_base() -> None:
    tier = {"min_prompt_tokens": 1000, "prompt": "0.000003"}
    for prompt, is_held in (("0.00003", False), ("0.000031", True), ("0", True)):
        found = GUARDS.doubt_price("a/b", schedule(tier), schedule(tier | {"prompt": prompt}))
        assert (found is not None) == is_held
        assert not found or found.startswith("prompt of an override would ")


def test_a_price_that_stays_odd_is_not_doubted_again() -> None:
    priced, zero = schedule(image="0.5"), schedule(prompt="0", completion="0", image="0")
    assert GUARDS.doubt_price("a/priced:free", priced, priced) is None
    assert GUARDS.doubt_price("a/gratis", zero, zero) is None


@pytest.mark.parametrize(
    ("known", "missing", "reason"),
    [
        (10, 5, None),
        (10, 6, "the list would lose 6 of 10 models"),
        (11, 5, None),
        (11, 6, "the list would lose 6 of 11 models"),
        (10, 0, None),
        (0, 0, None),
        (1, 1, "the list would lose 1 of 1 models"),
    ],
)
def test_models_that_vanish_together_are_doubted_beyond_half(
    known: int, missing: int, reason: str | None
) -> None:
    assert GUARDS.doubt_loss(known, missing) == reason


@pytest.mark.parametrize(("loss", "is_held"), [("0.19", True), ("0.2", False), ("1", False)])
def test_the_share_that_may_vanish_is_a_setting(loss: str, is_held: bool) -> None:
    assert (Guards(loss=Decimal(loss)).doubt_loss(10, 2) is not None) == is_held


@pytest.mark.parametrize(
    ("known", "new", "reason"),
    [
        (0, 100_000, None),
        (1, FEW_MODELS, None),
        (1, FEW_MODELS + 1, "the list would grow from 1 by 11 models"),
        (300, 61, None),
        (300, 300, None),
        (300, 301, "the list would grow from 300 by 301 models"),
    ],
)
def test_models_that_come_together_are_doubted_where_they_more_than_double_the_list(
    known: int, new: int, reason: str | None
) -> None:
    assert GUARDS.doubt_growth(known, new) == reason


@pytest.mark.parametrize(("growth", "is_held"), [("0.19", True), ("0.2", False), ("5", False)])
def test_the_share_that_may_come_is_a_setting(growth: str, is_held: bool) -> None:
    assert (Guards(growth=Decimal(growth)).doubt_growth(100, 20) is not None) == is_held
