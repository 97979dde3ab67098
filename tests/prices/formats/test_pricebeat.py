"""Our own shape: what is published of a schedule is the whole schedule, and can be read back."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prices.catalogue.attributes import Attributes
from prices.catalogue.records import PriceInterval
from prices.formats.pricebeat import encoded_entry, schedule_of
from prices.pricing.schedule import PriceSchedule
from tests.support.lists import schedule

AT = datetime(2026, 8, 6, tzinfo=UTC)


def published(told: PriceSchedule) -> bytes:
    return encoded_entry(PriceInterval("a/b", Attributes("B", None), told, AT, None, 1), Decimal("1.2"))


numbers = st.integers(0, 10**30) | st.decimals(-9, 9, allow_nan=False, places=12)
values = st.recursive(
    numbers | st.text(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
names = st.sampled_from(
    [
        "min_prompt_tokens",
        "utc_start",
        "utc_end",
        "utc_days",
        "prices",
        "prices_",
        "prices__",
        "overrides",
        "x",
    ]
)
amounts = st.sampled_from(["0", "-1", "0.000001", "0.0000010", "12"])
overrides = st.dictionaries(names, values, max_size=4).flatmap(
    lambda conditions: amounts.map(lambda prompt: conditions | {"prompt": prompt})
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(overrides, max_size=3), amounts)
def test_a_schedule_is_read_back_as_it_was_whatever_its_conditions(told: list[Any], prompt: str) -> None:
    kept = schedule(*told, prompt=prompt)
    read = schedule_of(published(kept))
    assert [(dict(entry.conditions), entry.prices) for entry in read.overrides] == [
        (dict(entry.conditions), entry.prices) for entry in kept.overrides
    ]
    assert (dict(read.base), read.unseen) == (dict(kept.base), kept.unseen)


def test_conditions_are_published_as_upstream_wrote_them() -> None:
    exact = {"min_prompt_tokens": Decimal("200000.0"), "factor": Decimal("0.1000000000000000000000000001")}
    (entry,) = msgspec.json.decode(
        published(schedule(exact | {"tags": [Decimal("1.50")], "prices": {"x": 1}, "prompt": "1"})),
        strict=True,
    )["overrides"]
    assert entry.pop("prices")["prompt"]["per_token"] == "1"
    assert entry == {
        "min_prompt_tokens": 200000.0,
        "factor": 0.1,
        "tags": [1.5],
        "prices_": {"x": 1},
    }
    assert b'"factor":0.1000000000000000000000000001' in published(schedule(exact))
