"""Prices as values: the text stays exact and the states are never mixed up."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.errors import PriceError
from prices.pricing.price import Price, PriceState, is_name
from tests.support.json_values import JSON_VALUES
from tests.support.laws import examples


@pytest.mark.parametrize(
    "text",
    ["0.000001", "0.00000010333333333333333", "0.0000016499998152", "1", "0.10", "12345678901234567890.5"],
)
def test_a_plain_decimal_is_kept_exactly_as_upstream_wrote_it(text: str) -> None:
    assert Price.parse(text).text == text
    assert Price.parse(text).amount == Decimal(text)
    assert Price.parse(text).state is PriceState.PRICED


@pytest.mark.parametrize("text", ["0", "-0", "0.0", "0.000", "-0.00", "0E-20", "0e99999999", 0])
def test_every_zero_is_free_and_written_the_same(text: object) -> None:
    assert Price.parse(text) == Price("0")
    assert Price.parse(text).state is PriceState.FREE


@pytest.mark.parametrize("text", ["-1", "-1.0", "-1e0", -1, Decimal("-1.00")])
def test_minus_one_is_dynamic_and_never_an_amount(text: object) -> None:
    price = Price.parse(text)
    assert (price.state, price.amount) == (PriceState.DYNAMIC, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E-7", "0.0000001"),
        ("2.50e-06", "0.00000250"),
        (Decimal("3E-8"), "0.00000003"),
        (7, "7"),
        ("1e3", "1000"),
    ],
)
def test_scientific_notation_and_numbers_become_plain_text_of_the_same_value(
    value: object, text: str
) -> None:
    assert Price.parse(value).text == text


HOSTILE = [
    "NaN", "sNaN", "Infinity", "-Infinity", "", " ", " 1", "1\n", "1_000", "٣", "0x10", "free", "1,5",
    "-0.000001", "-2", "1e41", "1e-41", "1e999999999", "1e-999999999", "9" * 65, "1e99999999999999999999",
    "1.2345678901234567890123456789012345678901234567890e-39",
    True, False, None, 0.5, [], {}, "\x00", "1\x00", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_what_is_no_price_is_refused_in_one_short_line(value: object) -> None:
    with pytest.raises(PriceError) as refused:
        Price.parse(value)
    assert len(str(refused.value)) < 100
    assert "\n" not in str(refused.value)


@settings(max_examples=examples(60))
@given(st.decimals(0, 10**6, places=12))
def test_any_amount_survives_being_written_and_read_again(amount: Decimal) -> None:
    price = Price.parse(f"{amount:f}")
    assert Price.parse(price.text) == price
    assert price.amount == amount


@settings(max_examples=examples(60))
@given(st.text(max_size=70) | JSON_VALUES | st.builds("{}e{}".format, st.integers(), st.integers(-90, 60)))
def test_whatever_comes_is_a_price_or_a_price_error(value: object) -> None:
    try:
        text = Price.parse(value).text
    except PriceError:
        return
    assert set(text) <= set("0123456789.-")
    assert Price.parse(text).text == text


@pytest.mark.parametrize("text", ["1e39", "9999999999999999999999999999999999999999", "1e-39"])
def test_a_price_has_at_most_forty_digits_on_either_side(text: str) -> None:
    assert Price.parse(text).amount == Decimal(text)
    beyond = "1e40" if Decimal(text) > 1 else "1e-40"
    with pytest.raises(PriceError, match="beyond any price"):
        Price.parse(beyond)


def test_a_name_of_a_dimension_has_at_most_sixty_four_characters() -> None:
    assert (is_name("x" * 64), is_name("x" * 65)) == (True, False)
