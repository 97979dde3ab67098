"""Every format, on whole lists: no number that upstream's list does not have, none for a router, no float."""

import csv
import gzip
import io
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.standin import catalogue
from prices.formats.format import CurrentModel, Details
from prices.formats.registry import FORMATS
from prices.upstream.model_list import parse
from tests.support.captures import RECORDED
from tests.support.formats import current, decoded

MADE_UP = {
    f"made up {at:%A %H:%M}": at
    for at in (datetime(2026, 8, 7, tzinfo=UTC), datetime(2026, 8, 9, 13, tzinfo=UTC))
}
BODIES = sorted(path.name for path in RECORDED.glob("*.json.gz")) or ["no recorded body"]


def read(name: str) -> bytes:
    if name in MADE_UP:
        return catalogue.body(421, MADE_UP[name])
    if not (RECORDED / name).exists():
        pytest.skip("there are no recorded bodies beside the repository")
    return gzip.decompress((RECORDED / name).read_bytes())


def bodies(models: list[CurrentModel]) -> dict[str, Any]:
    told = {form.name: form.write(models) for form in FORMATS}
    table = list(csv.DictReader(io.StringIO(told.pop("csv").decode(), newline="")))
    for body in told.values():
        assert not re.search(rb":-?[0-9.]+[eE]", body)
        assert not re.search(rb":-", body)
    return {name: decoded(body) for name, body in told.items()} | {"csv": table}


def test_each_format_has_its_own_name_and_path() -> None:
    assert [form.path for form in FORMATS] == [
        "/litellm.json",
        "/bifrost.json",
        "/genai-prices.json",
        "/api.json",
        "/openlit.json",
        "/v2/providers",
        "/prices.csv",
    ]
    assert len({form.name for form in FORMATS}) == len(FORMATS)


def test_the_documents_have_each_address() -> None:
    rows = (Path(__file__).parents[3] / "docs/clients.md").read_text().splitlines()
    addresses = {row.split("|")[-2].strip(" `") for row in rows if row.startswith("| ")}
    assert {form.path for form in FORMATS} <= addresses


def test_an_empty_catalogue_is_written() -> None:
    told = bodies([])
    assert told["litellm"] == told["bifrost"] == {}
    assert told["genai-prices"][0]["models"] == told["crush"][0]["models"] == told["csv"] == []
    assert told["models.dev"]["openrouter"]["models"] == {}


@pytest.mark.parametrize("name", [*MADE_UP, *BODIES])
def test_every_number_of_a_plain_model_is_upstreams(name: str) -> None:
    body = read(name)
    told = bodies(current(parse(body)))
    genai = {one["id"]: one["prices"] for one in told["genai-prices"][0]["models"]}
    crush = {one["id"]: one for one in told["crush"][0]["models"]}
    plain = 0
    for row in json.loads(body, parse_float=Decimal)["data"]:
        slug, pricing = row["id"], row["pricing"]
        if pricing.get("overrides") or any(
            Decimal(pricing.get(key) or 0) for key in ("request", "image_output")
        ):
            continue
        plain += 1
        if any(price in ("-1", -1) for price in pricing.values()):
            for names in (told["litellm"], told["bifrost"]):
                assert f"openrouter/{slug}" not in names
            for names in (genai, crush, told["openlit"]["chat"]):
                assert slug not in names
            assert "cost" not in told["models.dev"]["openrouter"]["models"][slug]
            continue
        prompt, completion = abs(Decimal(pricing["prompt"])), abs(Decimal(pricing["completion"]))
        read_price = Decimal(pricing.get("input_cache_read", prompt))
        for names in (told["litellm"], told["bifrost"]):
            one = names[f"openrouter/{slug}"]
            assert (one["input_cost_per_token"], one["output_cost_per_token"]) == (prompt, completion)
            assert one.get("cache_read_input_token_cost", prompt) == read_price
        assert Decimal(genai[slug]["input_mtok"]) == prompt * 10**6
        assert Decimal(genai[slug]["output_mtok"]) == completion * 10**6
        assert Decimal(genai[slug].get("cache_read_mtok", prompt * 10**6)) == read_price * 10**6
        cost = told["models.dev"]["openrouter"]["models"][slug]["cost"]
        assert (cost["input"], cost["output"]) == (prompt * 10**6, completion * 10**6)
        assert cost["cache_read"] == crush[slug]["cost_per_1m_out_cached"] == read_price * 10**6
        assert crush[slug]["cost_per_1m_in"] == prompt * 10**6
        chat = told["openlit"]["chat"][slug]
        assert (chat["promptPrice"], chat["completionPrice"]) == (prompt * 1000, completion * 1000)
    assert plain > 100
    assert {row["model"] for row in told["csv"]} == {row["id"] for row in json.loads(body)["data"]}


@pytest.mark.parametrize(
    "more",
    [
        *(
            {key: value}
            for key in ("created", "top_provider", "reasoning")
            for value in (True, [], -1, {"a": 1})
        ),
        {"supported_parameters": [1, None, {"a": 1}], "hugging_face_id": 7},
        {"created": 10**40, "top_provider": {"max_completion_tokens": 10**40}},
        {"created": 253402300800, "context_length": -7},
        {"reasoning": {"supported_efforts": "high"}, "architecture": {"input_modalities": [None]}},
    ],
)
def test_odd_fields_count_as_not_there(more: dict[str, Any]) -> None:
    row = {"id": "a/b", "name": "B", "pricing": {"prompt": "1", "completion": "1"}} | more
    told = bodies(current(parse(json.dumps({"data": [row]}).encode())))
    assert told["models.dev"]["openrouter"]["models"]["a/b"]["limit"] == {"context": 0, "output": 0}
    assert Details.of(json.dumps(row).encode())[1].efforts == ()
