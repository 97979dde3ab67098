"""JSON as upstream writes it, made readable for everybody. Pure.

Upstream's texts may hold half a surrogate pair (JavaScript cuts texts so), which msgspec refuses for the
whole body, and values that nest deeper than readers go.
"""

import re
from typing import Final

import msgspec

MAX_DEPTH: Final = 48
"""How deep a field may nest. Many readers of JSON stop at 64; three levels stand around a field of a row."""
MAX_HALVES: Final = 1_000_000
"""How many runs of surrogates are looked at in a body; one that has more is left to be refused."""
MAX_CUT_BYTES: Final = 32 * 1024 * 1024
"""The largest body in which values that nest too deep are searched for; a larger one is refused whole."""
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)
"""What msgspec raises for text that is no JSON, or JSON that it cannot read."""

_FIELD_IN_LIST: Final = 3
"""The levels around a field of a row: the envelope, the list, the row."""
_NOBODY_READS: Final = b"1e999"
"""A number beyond all floats: whoever reads its field as a value is told so."""

_HAS_HALVES = re.compile(rb"\\u[dD][89a-fA-F]").search
# Only surrogates match, each run of them once. A backslash that is escaped itself begins no escape. All
# repetitions are possessive, so that the time grows with the body alone.
_SURROGATES = re.compile(
    rb"(?<!\\)((?:\\\\)*+)"
    rb"(?:(?P<pairs>(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++)"
    rb"|(?P<halves>(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][c-fC-F][0-9a-fA-F]{2})++))"
)
_HALF_BYTES: Final = 6
_STRINGS_AND_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]++|[\]}]++', re.DOTALL)

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_fields(text: bytes) -> dict[str, msgspec.Raw]:
    """Read an object as its fields, unread. Raises what UNREADABLE names where it is none.

    A value that nests without end costs its own field only: nobody can read what stands in its place.
    """
    text = without_half_characters(text)
    try:
        return _decode_fields(text)
    except RecursionError:
        if len(text) > MAX_CUT_BYTES:
            raise
        return _decode_fields(_without_depths(text, MAX_DEPTH + _FIELD_IN_LIST))


def without_half_characters(text: bytes) -> bytes:
    """Put the replacement character in the place of each half of a surrogate pair."""
    return _SURROGATES.sub(_replaced, text, count=MAX_HALVES) if _HAS_HALVES(text) else text


def is_readable(value: msgspec.Raw | bytes, most: int = MAX_DEPTH) -> bool:
    """Whether every reader can read a value: it can be decoded, and nests `most` levels deep at most."""
    text = bytes(value)
    if _nests_deeper(text, most):
        return False
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return True


def _replaced(found: re.Match[bytes]) -> bytes:
    if found["pairs"]:
        return found[0]
    return found[1] + rb"\ufffd" * (len(found["halves"]) // _HALF_BYTES)


def _nests_deeper(text: bytes, most: int) -> bool:
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        first = text[found.start()]
        if first in b"[{":
            depth += found.end() - found.start()
            if depth > most:
                return True
        elif first in b"]}":
            depth -= found.end() - found.start()
    return False


def _without_depths(text: bytes, most: int) -> bytes:
    """Put a number that nobody can read in the place of each value that nests deeper."""
    parts, kept, depth = [], 0, 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        first, count = text[found.start()], found.end() - found.start()
        if first in b"[{":
            if depth <= most < depth + count:
                parts += [text[kept : found.start() + most - depth], _NOBODY_READS]
            depth += count
        elif first in b"]}":
            if depth > most >= depth - count:
                kept = found.start() + depth - most
            depth -= count
    if depth <= most:
        parts.append(text[kept:])
    return b"".join(parts)
