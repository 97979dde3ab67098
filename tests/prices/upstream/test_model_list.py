"""Upstream's JSON, read row by row."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.standin import catalogue
from local.standin.catalogue import ODDITIES
from local.standin.client import Standin
from prices.errors import UpstreamError
from prices.runtime.settings import ROOT
from prices.upstream.download import fetch
from prices.upstream.model_list import OpenRouterModel, SkippedRow, parse
from tests.support.laws import examples
from tests.support.lists import body, listed, model

RECORDED = sorted((ROOT.parent / "shared" / "openrouter").glob("*.json.gz"))


# What the body says


@pytest.mark.parametrize("recording", RECORDED or [None], ids=lambda path: path.name[:10] if path else "none")
def test_every_recorded_body_is_read_whole(recording: Path | None) -> None:
    """Without recordings beside the repository, a made-up list of the usual length stands for them."""
    made_up = catalogue.body(420, datetime(2026, 8, 6, 12, tzinfo=UTC))
    whole = gzip.decompress(recording.read_bytes()) if recording else made_up
    raw = json.loads(whole)["data"]
    read = parse(whole)
    assert [row.id for row in read.rows] == [row["id"] for row in raw]
    assert read.skipped == []


def test_every_odd_model_of_the_stand_in_is_read(standin: Standin) -> None:
    whole = fetch(standin.base_url, None)
    read = parse(whole)
    assert {row.id for row in read.models} >= set(ODDITIES)
    assert read.skipped == []
    assert read.envelope["total_count"] == len(read.models)


def test_a_models_json_is_kept_byte_for_byte_and_the_order_is_upstreams() -> None:
    row = b'{ "id" : "b/two", "pricing":{"completion":"2" ,"prompt":"1"}, "n\\u00e9w":[1.50, {}] }'
    read = listed(row, model("a/one"), links={"next": None, "self": "x"}, total_count=2)
    assert read.models[0].document == row
    assert [entry.id for entry in read.models] == ["b/two", "a/one"]
    assert read.envelope == {"links": {"next": None, "self": "x"}, "total_count": 2}


def test_numbers_for_prices_are_read_without_a_float_in_between() -> None:
    row = b'{"id":"a/b","pricing":{"prompt":0.00000010333333333333333,"completion":2E-6}}'
    base = listed(row).models[0].schedule.base
    assert (base["prompt"].text, base["completion"].text) == ("0.00000010333333333333333", "0.000002")


def priced(text: bytes) -> bytes:
    return b'{"id":"a/bad","pricing":{"prompt":%b,"completion":"1"}}' % text


BAD_ROWS: dict[str, tuple[bytes, str | None]] = {
    "null": (b"null", None),
    "a number": (b"5", None),
    "a list": (b"[]", None),
    "no id": (b'{"pricing":{"prompt":"1","completion":"1"}}', None),
    "an id that is a number": (b'{"id":5,"pricing":{}}', None),
    "an empty id": (json.dumps(model("")).encode(), None),
    "an id with a space": (json.dumps(model("a/b c")).encode(), None),
    "an id with a line break": (json.dumps(model("a/b\nc")).encode(), None),
    "an id with NUL": (json.dumps(model("a/b\x00")).encode(), None),
    "an id that turns the writing direction": (json.dumps(model("a/b\u202ec")).encode(), None),
    "an id of 256 characters": (json.dumps(model("a/" + "b" * 254)).encode(), None),
    "no pricing": (b'{"id":"a/bad"}', "a/bad"),
    "pricing null": (b'{"id":"a/bad","pricing":null}', "a/bad"),
    "pricing a list": (b'{"id":"a/bad","pricing":[]}', "a/bad"),
    "an empty pricing": (b'{"id":"a/bad","pricing":{}}', "a/bad"),
    "NaN": (priced(b'"NaN"'), "a/bad"),
    "a flag": (priced(b"true"), "a/bad"),
    "a negative price": (priced(b'"-0.5"'), "a/bad"),
    "a hostile exponent": (priced(b"1e999999999"), "a/bad"),
    "an exponent beyond Decimal": (priced(b"1e99999999999999999999"), "a/bad"),
    "an integer of 5000 digits": (priced(b"9" * 5000), "a/bad"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_skipped_and_named_and_the_others_stay(kind: str) -> None:
    row, named = BAD_ROWS[kind]
    read = listed(model("a/first"), row, model("a/last"))
    assert [entry.id for entry in read.models] == ["a/first", "a/last"]
    (skipped,) = read.skipped
    assert (skipped.position, skipped.reason != "") == (1, True)
    assert named in (None, skipped.id)
    assert len(str(skipped)) < 400
    assert str(skipped).isprintable()


def test_a_second_row_of_an_id_is_skipped_and_the_first_counts() -> None:
    read = listed(model("a/b", prompt="1"), model("a/b", prompt="2"))
    (first, second) = read.rows
    assert isinstance(first, OpenRouterModel)
    assert isinstance(second, SkippedRow)
    assert first.schedule.base["prompt"].text == "1"
    assert (second.position, second.id) == (1, "a/b")


def test_a_good_row_after_a_bad_one_of_the_same_id_counts() -> None:
    assert [row.id for row in listed(model("a/b", prompt="NaN"), model("a/b")).models] == ["a/b"]


ODD_TEXTS = {
    "bytes that are no UTF-8": b'"name":"\xff\xfe"',
    "a key that is no UTF-8": b'"\xff":1',
    "a surrogate in UTF-8": b'"name":"\xed\xa0\x80"',
    "half an emoji": b'"name":"\\ud83d"',
    "half an emoji within a text": b'"name":"cut here \\ud83d and on"',
    "an integer of 5000 digits": b'"context_length":' + b"9" * 5000,
    "a number beyond all floats": b'"context_length":1e400',
    "an exponent beyond Decimal": b'"context_length":1e99999999999999999999',
    "NUL": b'"name":"a\\u0000b"',
    "an integer of 30 digits": b'"context_length":' + b"9" * 30,
}


@pytest.mark.parametrize("oddity", ODD_TEXTS)
def test_an_oddity_in_a_field_we_do_not_need_harms_no_other_model(oddity: str) -> None:
    row = b'{"id":"a/odd","pricing":{"prompt":"1","completion":"1"},' + ODD_TEXTS[oddity] + b"}"
    read = listed(model("a/first"), row, model("a/last"))
    ids = [entry.id for entry in read.models]
    assert [slug for slug in ids if slug != "a/odd"] == ["a/first", "a/last"]
    for entry in read.models:  # what is let in can be stored and read again
        entry.document.decode()
        msgspec.json.encode(msgspec.json.decode(entry.document))


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "half a body": body(model("a/b"))[:-5],
    "HTML": b"<!doctype html><title>502</title>",
    "a list": b"[]",
    "null": b"null",
    "data null": b'{"data":null}',
    "data an object": b'{"data":{}}',
    "an empty list": b'{"data":[]}',
    "no usable row": b'{"data":[null]}',
    "a list nested without end": b'{"data":' + b"[" * 100_000,
    "an envelope nested without end": b'{"data":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a row nested without end": b'{"data":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    "bytes that are no UTF-8": b'{"data":[],"\xff":1}',
    "one page of several": body(model("a/b"), links={"next": "/api/v1/models?offset=1"}),
    "fewer than there are": body(model("a/b"), total_count=2),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_body_that_is_no_whole_list_is_refused_in_one_line(what: str) -> None:
    with pytest.raises(UpstreamError) as refused:
        parse(REFUSED[what])
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


def test_the_reason_of_a_refusal_can_be_stored_whatever_the_id_was() -> None:
    with pytest.raises(UpstreamError) as refused:
        parse(b'{"data":[{"id":"a\\u0000\\u001b[31m"}]}')
    assert "\x00" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


@settings(max_examples=examples(200))
@given(st.binary(max_size=60), st.integers(0, 200))
def test_whatever_bytes_come_are_a_list_or_an_upstream_error(noise: bytes, at: int) -> None:
    good = body(model("a/one"), model("a/two", context_length=5), total_count=2)
    broken = good[:at] + noise + good[at:]
    try:
        read = parse(broken)
    except UpstreamError:
        return
    assert read.models


def test_a_body_of_more_values_than_a_process_should_hold_is_refused_unread() -> None:
    with pytest.raises(UpstreamError, match="more than 4,000,000 values"):
        parse(b'{"data":[' + b"{}," * 4_000_001 + b"{}]}")


def test_a_list_of_more_models_than_there_can_be_is_refused() -> None:
    with pytest.raises(UpstreamError, match="more than 100,000 models"):
        parse(b'{"data":[' + b"{}," * 100_000 + b"{}]}")
