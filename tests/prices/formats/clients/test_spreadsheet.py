"""The table: every price of every model is a row, with the conditions under which it holds."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from prices.formats.clients.spreadsheet import COLUMNS, FORMAT
from tests.support.formats import NIGHT, OFFICE, TIER, WRITES, current, priced
from tests.support.lists import listed, model


def rows(*models: Any) -> list[dict[str, str]]:
    text = FORMAT.write(current(listed(*models))).decode()
    assert text.count("\r\n") == text.count("\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def shown(row: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in row.items() if text}


def test_a_row_has_all_columns() -> None:
    first = rows(priced())[0]
    assert tuple(first) == COLUMNS
    assert shown(first) == {
        "model": "a/one",
        "dimension": "completion",
        "state": "priced",
        "unit": "token",
        "usd_per_unit": "0.000008",
        "usd_per_million": "8",
        "valid_from": "2026-08-06T09:00:00Z",
        "revision": "7",
    }


def test_each_dimension_has_a_row() -> None:
    told = {row["dimension"]: row for row in rows(priced(web_search="0.01", request="-0", **WRITES))}
    assert told.keys() == {"prompt", "completion", "web_search", "request", *WRITES}
    assert (told["web_search"]["unit"], told["web_search"]["usd_per_unit"]) == ("search", "0.01")
    assert told["web_search"]["usd_per_million"] == ""
    assert (told["request"]["state"], told["request"]["usd_per_unit"]) == ("free", "0")


def test_each_tier_and_window_has_rows_with_its_conditions() -> None:
    told = [row for row in rows(priced(overrides=[TIER, NIGHT, OFFICE])) if row["dimension"] == "prompt"]
    names = "usd_per_million", "min_prompt_tokens", "utc_start", "utc_end", "utc_days"
    assert [tuple(row[name] for name in names) for row in told] == [
        ("2", "", "", "", ""),
        ("4", "200000", "", "", ""),
        ("1", "", "16:30", "00:30", ""),
        ("3", "", "09:00", "17:00", "monday tuesday wednesday thursday friday"),
    ]


def test_a_window_of_whole_days_has_no_hours() -> None:
    last = rows(priced(overrides=[{"utc_days": ["sunday"], "prompt": "0.1"}]))[-1]
    assert (last["utc_start"], last["utc_end"], last["utc_days"]) == ("", "", "sunday")


def test_a_base_that_a_window_has_hidden_is_unknown() -> None:
    (one,) = current(listed(priced(overrides=[NIGHT | {"prompt": "0.000002"}])))
    hidden = one.price.schedule.seen_after(None, datetime(2026, 8, 6, 20, tzinfo=UTC))
    seen = msgspec.structs.replace(one, price=msgspec.structs.replace(one.price, schedule=hidden))
    told = csv.DictReader(io.StringIO(FORMAT.write([seen]).decode(), newline=""))
    base = [row for row in told if row["dimension"] == "prompt" and not row["utc_start"]]
    assert [(row["state"], row["usd_per_unit"]) for row in base] == [("unknown", "")]


def test_a_condition_that_nobody_knows_stands_as_it_came() -> None:
    told = rows(priced(overrides=[{"weather": "rain", "utc_start": "noon", "prompt": "0.1"}]))[-1]
    assert told["other_conditions"] == '{"utc_start":"noon","weather":"rain"}'
    assert told["usd_per_unit"] == "0.1"


def test_a_router_has_no_number() -> None:
    told = rows(model("openrouter/auto", "-1", "-1"))
    assert [(row["state"], row["usd_per_unit"], row["usd_per_million"]) for row in told] == [
        ("dynamic", "", "")
    ] * 2


@pytest.mark.parametrize("first", [*"=+-@'", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_nothing_is_a_formula(first: str) -> None:
    told = rows(model(f"{first}cmd!A0", pricing={f"{first}evil": "1", f" {first}worse": "1"}))
    assert {row["model"] for row in told} == {f"'{first}cmd!A0"}
    assert {f"'{first}evil", f"' {first}worse"} <= {row["dimension"] for row in told}


def test_quotes_commas_and_other_scripts_come_back_as_they_are() -> None:
    slug = 'a/"one",two;\u00fc\u4e2d'
    assert {row["model"] for row in rows(model(slug))} == {slug}
