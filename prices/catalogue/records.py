"""What readers are told of the past and the present, as values."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from prices.catalogue.attributes import Attributes
from prices.catalogue.changes import OVERRIDES, ChangeKind
from prices.pricing.schedule import PriceSchedule


@dataclass(frozen=True, slots=True)
class HeldPrice:
    """What upstream said of a model and is not believed yet; no schedule where it had vanished."""

    reason: str
    schedule: PriceSchedule | None
    seen_at: datetime


class PriceInterval(msgspec.Struct, frozen=True, gc=False):
    """A model's price as it was known: its schedule, when it was in force, and since which revision."""

    slug: str
    attributes: Attributes
    schedule: PriceSchedule
    valid_from: datetime
    valid_to: datetime | None
    revision: int
    held: HeldPrice | None = None


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """One change of the feed; `cursor` is its place, `reverts` the cursor of the change that it undoes."""

    cursor: int
    slug: str
    kind: ChangeKind
    part: str | None
    before: str | None
    after: str | None
    at: datetime
    revision: int
    reverts: int | None

    @property
    def is_json(self) -> bool:
        """Whether before and after are JSON, not a price's text."""
        return self.part in (None, OVERRIDES) or self.kind is ChangeKind.ATTRIBUTES
