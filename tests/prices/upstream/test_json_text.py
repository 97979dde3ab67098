"""Whatever upstream writes is read or refused, in a time that grows with its length alone."""

import contextlib
import json
import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.errors import UpstreamError
from prices.formats.openrouter import model_list
from prices.upstream.json_text import MAX_DEPTH, MAX_HALVES, read_fields, without_half_characters
from prices.upstream.model_list import parse
from prices.upstream.pages import Pages
from prices.upstream.passed_on import MAX_ENVELOPE_BYTES, MAX_ROW_BYTES
from tests.support.json_values import JSON_VALUES
from tests.support.laws import examples
from tests.support.lists import body, model

MIB = 1024 * 1024
ADDRESS = "https://up.example/api/v1/models"
ODD = [
    *(b"1e400", b"-1e999", b"9" * 5000, b"NaN", b"01", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"'),
    *(b"[" * 60 + b"]" * 60, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[" * 5000, b'"' + b"x" * 40_000 + b'"'),
    *(b'{"next":"?offset=1"}', b'{"next":7}', b"[[],{}]", b"5" * 400, b'"\\', b"}", b"]", b",", b"\xed\xa0"),
]  # fmt: skip
TEXTS = st.text(st.integers(0x20, 0x10FFFF).map(chr) | st.integers(0xD800, 0xDFFF).map(chr), max_size=9)
VALUES = JSON_VALUES.map(lambda value: json.dumps(value, default=str).encode()) | st.sampled_from(ODD)
NAMES = st.sampled_from(["id", "name", "pricing", "links", "total_count", "data", "x", "x"]) | TEXTS


def objects(names: st.SearchStrategy[str], values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """JSON objects, some of whose names stand there twice, and some of whose values are no JSON."""
    fields = st.lists(st.tuples(names, values), max_size=6)
    return fields.map(
        lambda pairs: b"{%b}" % b",".join(b"%b:%b" % (json.dumps(name).encode(), raw) for name, raw in pairs)
    )


PRICING = objects(st.sampled_from(["prompt", "completion", "request", "overrides"]), VALUES)
ROWS = objects(NAMES, VALUES | PRICING) | PRICING.map(lambda raw: b'{"id":"a/b","pricing":%b}' % raw)
GOOD = json.dumps(model("a/good")).encode()


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A list that upstream might send, with anything in it, and perhaps broken."""
    rows = b",".join([*draw(st.lists(ROWS, max_size=3)), *draw(st.sampled_from([[GOOD], []]))])
    rest = draw(objects(NAMES, VALUES))
    whole = b'{"data":[%b]%b' % (rows, b"," + rest[1:] if len(rest) > 2 else b"}")
    if draw(st.booleans()):
        at, length = draw(st.integers(0, len(whole))), draw(st.integers(0, 5))
        whole = whole[:at] + draw(st.binary(max_size=5)) + whole[at + length :]
    return whole


def assert_one_line(error: UpstreamError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 500


@settings(max_examples=examples(300))
@given(bodies())
def test_whatever_comes_is_a_list_that_everybody_can_read_or_one_line(whole: bytes) -> None:
    try:
        listed = parse(whole)
    except UpstreamError as error:
        assert_one_line(error)
        return
    published = model_list([row.document for row in listed.models], listed.envelope)
    assert len(json.loads(published)["data"]) == len(listed.models) > 0
    assert len(msgspec.json.encode(listed.envelope)) < 2 * MAX_ENVELOPE_BYTES
    for row in listed.models:
        assert len(row.document) < 3 * MAX_ROW_BYTES
        assert json.loads(row.document)["id"] == row.id
    assert all(str(row).isprintable() and len(str(row)) < 700 for row in listed.skipped)


@settings(max_examples=examples(150))
@given(bodies(), bodies())
def test_whatever_pages_come_they_are_one_body_or_one_line(first: bytes, second: bytes) -> None:
    pages = Pages()
    try:
        following = pages.add(ADDRESS, first)
        if following is not None:
            pages.add(following, second)
        pages.whole()
    except UpstreamError as error:
        assert_one_line(error)


@given(TEXTS, TEXTS)
def test_of_a_text_only_the_halves_of_pairs_are_replaced(name: str, text: str) -> None:
    written = json.dumps({name: text})
    expected = re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(json.loads(written), ensure_ascii=False))
    assert msgspec.json.decode(without_half_characters(written.encode())) == json.loads(expected)


@given(st.lists(st.sampled_from(["\\", "\\\\", "\\ud83d", "\\ude00", "ud83d", "x", '\\"']), max_size=12))
def test_an_escaped_backslash_begins_no_escape(parts: list[str]) -> None:
    written = f'{{"a":"{"".join(parts)}"}}'
    try:
        text = json.loads(written)["a"]
    except ValueError:
        return
    read: Any = msgspec.json.decode(without_half_characters(written.encode()))
    assert read == {"a": re.sub("[\ud800-\udfff]", "\ufffd", text)}


LONG = {
    "escapes": b"\\n" * (16 * MIB),
    "backslashes": b"\\\\" * (16 * MIB),
    "whole pairs": b"\\ud83d\\ude00" * (4 * MIB),
    "halves": b"\\ud83d" * (8 * MIB),
}


@pytest.mark.parametrize("what", LONG)
def test_the_halves_of_a_long_body_are_found_in_a_bounded_time(what: str) -> None:
    whole = b'{"a":"\\ud800 %b \\udc00"}' % LONG[what]
    began = time.process_time()
    read = read_fields(whole)
    assert time.process_time() - began < 8  # of the processor's time; it took 12 s where every escape matched
    assert bytes(read["a"]).startswith(b'"\\ufffd ')


def test_a_body_of_more_halves_than_are_looked_at_is_refused() -> None:
    with pytest.raises(UpstreamError, match="no price list"):
        parse(body(model("a/b"), x=1)[:-1] + b',"y":"%b"}' % (b"\\ud800x" * (MAX_HALVES + 1)))


DEEP = {
    "lists": (b"[", b"]"),
    "objects": (b'{"a":', b"}"),
    "lists with texts": (b'["]]\\"]",', b"]"),
    "both": (b'[{"x":', b"}]"),
}


@pytest.mark.parametrize("what", DEEP)
@pytest.mark.parametrize("depth", [100, 2000, 200_000])
@pytest.mark.parametrize("where", ["row", "envelope"])
def test_a_field_that_nests_without_end_costs_that_field_only(what: str, depth: int, where: str) -> None:
    opening, closing = DEEP[what]
    deep = b'"deep":%b1%b' % (opening * depth, closing * depth)
    row = GOOD[:-1] + b"," + deep + b"}" if where == "row" else GOOD
    whole = b'{"data":[%b,%b],"note":[1]%b}' % (
        row,
        json.dumps(model("a/other")).encode(),
        b"," + deep if where == "envelope" else b"",
    )
    listed = parse(whole)
    assert [entry.id for entry in listed.models] == ["a/good", "a/other"]
    assert json.loads(listed.models[0].document) == json.loads(GOOD)
    assert listed.envelope == {"note": [1]}
    assert listed.dropped.count == 1


@pytest.mark.parametrize("depth", range(MAX_DEPTH - 3, MAX_DEPTH + 5))
def test_a_row_of_any_depth_is_kept_or_loses_the_field(depth: int) -> None:
    row = GOOD[:-1] + b',"deep":%b%b}' % (b"[" * depth, b"]" * depth)
    listed = parse(b'{"data":[%b]}' % row)
    assert listed.models[0].document == row if depth <= MAX_DEPTH else listed.dropped.count == 1


@pytest.mark.parametrize("page", [b"[" * 100_000, b'{"data":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"])
def test_a_later_page_that_nests_without_end_is_no_other_error(page: bytes) -> None:
    pages = Pages()
    pages.add(ADDRESS, b'{"data":[%b],"links":{"next":"?offset=1"}}' % GOOD)
    with contextlib.suppress(UpstreamError):
        pages.add(f"{ADDRESS}?offset=1", page)
        pages.whole()
