"""Which fields are passed on: nothing too large, nothing that a reader could not read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prices.upstream.json_text import MAX_DEPTH
from prices.upstream.passed_on import MAX_NAMED_FIELDS, DroppedFields


def passed_on(most: int, **fields: bytes) -> tuple[list[str], DroppedFields]:
    dropped = DroppedFields()
    raw = {name: msgspec.Raw(value) for name, value in fields.items()}
    return list(dropped.passed_on("row 0 (a/b)", raw, most)), dropped


def text(size: int) -> bytes:
    """A JSON text of so many bytes."""
    return b'"%b"' % (b"x" * (size - 2))


def test_the_largest_are_dropped_first_and_the_others_keep_their_order() -> None:
    kept, dropped = passed_on(100, b=text(40), a=text(50), d=text(10), c=text(20))
    assert kept == ["b", "d", "c"]
    assert (dropped.count, dropped.named) == (1, ["row 0 (a/b): a"])


@pytest.mark.parametrize(("size", "count"), [(97, 0), (98, 1)])
def test_a_name_counts_as_its_value_does(size: int, count: int) -> None:
    assert passed_on(100, a=text(size))[1].count == count


UNREADABLE = {
    "a number beyond all floats": b"1e400",
    "an integer of 5000 digits": b"9" * 5000,
    "bytes that are no UTF-8": b'"\xff"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "half a surrogate pair": b'"\\ud800"',
    "too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "too deep in objects": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "too deep behind a bracket in a text": b'["]"' + b",[" * MAX_DEPTH + b"]" * (MAX_DEPTH + 1),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("around", [b"%b", b'{"a":%b}'])
def test_what_a_reader_could_not_read_is_dropped(what: str, around: bytes) -> None:
    kept, dropped = passed_on(10_000, odd=around.replace(b"%b", UNREADABLE[what]), good=b"1.50")
    assert (kept, dropped.count) == (["good"], 1)


def test_what_nests_as_deep_as_may_be_is_kept() -> None:
    assert passed_on(10_000, deep=b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, wide=b"[" + b"[],{}," * 99 + b"0]")[
        0
    ] == ["deep", "wide"]


def test_the_names_are_few_and_short_and_the_count_is_whole() -> None:
    _kept, dropped = passed_on(1, **{f"{'n' * 5000}{number}": b"1" for number in range(200)})
    assert (dropped.count, len(dropped.named)) == (200, MAX_NAMED_FIELDS)
    assert max(map(len, dropped.named)) < 100


@given(st.dictionaries(st.text(max_size=9), st.integers(2, 60)), st.integers(0, 300))
def test_what_is_passed_on_fits_and_of_what_is_dropped_nothing_smaller_would(
    sizes: dict[str, int], most: int
) -> None:
    fields = {name: msgspec.Raw(text(size)) for name, size in sizes.items()}
    dropped = DroppedFields()
    kept = dropped.passed_on("row", fields, most)
    whole = {name: len(msgspec.json.encode(name)) + size for name, size in sizes.items()}
    used = sum(whole[name] for name in kept)
    assert used <= most
    assert dropped.count == len(fields) - len(kept)
    assert list(kept) == [name for name in fields if name in kept]
    assert all(used + whole[name] > most for name in fields if name not in kept)
