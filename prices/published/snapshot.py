"""The copy of a revision in a web process's memory."""

from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from prices.coordination.freshness import age_of
from prices.published.bodies import IDENTITY, Publication, Stamp


class Snapshot:
    """One revision, ready to be served; what a request needs beside the bodies is made when first asked."""

    def __init__(self, stamp: Stamp, published: Publication) -> None:
        self.stamp = stamp
        self.published = published

    @property
    def revision(self) -> int:
        """The revision served."""
        return self.published.revision

    @property
    def age_seconds(self) -> float | None:
        """How long ago the prices were confirmed; None where that is unknown, as `age_of` has it."""
        age = age_of(self.stamp.refreshed_at, datetime.now(UTC))
        return None if age is None else age.total_seconds()

    def confirmed(self, stamp: Stamp) -> "Snapshot":
        """Give the same content as confirmed at another time."""
        again = Snapshot(stamp, self.published)
        again.__dict__ |= {name: made for name, made in dict(self.__dict__).items() if name != "stamp"}
        return again

    @cached_property
    def models_body(self) -> bytes:
        """Upstream's shape, unpacked."""
        return self.published.models.encoded(IDENTITY)

    @cached_property
    def prices_body(self) -> bytes:
        """Our shape, unpacked."""
        return self.published.prices.encoded(IDENTITY)

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """Upstream's envelope without the models."""
        fields = msgspec.json.decode(self.models_body, type=dict[str, msgspec.Raw])
        return {name: msgspec.json.decode(raw) for name, raw in fields.items() if name != "data"}

    @cached_property
    def documents(self) -> dict[str, bytes]:
        """Each model's JSON as upstream sent it, by id, in upstream's order."""
        return _by_id(self.models_body)

    @cached_property
    def prices(self) -> dict[str, bytes]:
        """Each model's prices as JSON, by id, in upstream's order."""
        return _by_id(self.prices_body)

    @cached_property
    def entries(self) -> list[dict[str, Any]]:
        """Our shape as values, for pages."""
        return [msgspec.json.decode(entry) for entry in self.prices.values()]

    @cached_property
    def haystack(self) -> dict[str, str]:
        """What a search looks through, by id."""
        return {entry["id"]: f"{entry['id']}\n{entry['name']}".casefold() for entry in self.entries}

    def search(self, text: str) -> list[str]:
        """Give the ids of the models whose id or name holds `text`, in upstream's order."""
        sought = text.casefold()
        return [model_id for model_id, hay in self.haystack.items() if sought in hay]


class _Id(msgspec.Struct):
    id: str


def _by_id(body: bytes) -> dict[str, bytes]:
    data = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["data"]
    items = msgspec.json.decode(data, type=list[msgspec.Raw])
    return {msgspec.json.decode(item, type=_Id).id: bytes(item) for item in items}
