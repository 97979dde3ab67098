"""Which fields of upstream are passed on: what every reader can read, up to a bound. Pure.

Most fields are none of ours: they are kept as they came, and sent to every client of every web process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from prices.upstream.json_text import is_readable

MAX_ROW_BYTES: Final = 32 * 1024
"""Bytes of a row's fields beside `id` and `pricing`, and of `pricing`. In August 2026 the most were 3,135."""
MAX_ENVELOPE_BYTES: Final = 64 * 1024
"""Bytes of the envelope's fields beside `data`."""
MAX_NAMED_FIELDS: Final = 50
_NAME_CHARACTERS: Final = 60


@dataclass(slots=True)
class DroppedFields:
    """The fields of a list that are not passed on: how many, and the names of the first of them."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def passed_on(self, owner: str, fields: Mapping[str, msgspec.Raw], most: int) -> dict[str, msgspec.Raw]:
        """Give the fields of the owner that are passed on, in their order; take note of the others.

        The names and values of all together have `most` bytes at most: the largest are dropped first.
        """
        sizes = {name: len(msgspec.json.encode(name)) + len(raw) for name, raw in fields.items()}
        good = [name for name, raw in fields.items() if sizes[name] <= most and is_readable(raw)]
        room, kept = most, set()
        for name in sorted(good, key=sizes.__getitem__):
            room -= sizes[name]
            if room < 0:
                break
            kept.add(name)
        for name in fields:
            if name not in kept:
                self._drop(owner, name)
        return {name: raw for name, raw in fields.items() if name in kept}

    def _drop(self, owner: str, name: str) -> None:
        self.count += 1
        if len(self.named) < MAX_NAMED_FIELDS:
            self.named.append(f"{owner}: {name[:_NAME_CHARACTERS]}")
