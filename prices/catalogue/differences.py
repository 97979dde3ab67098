"""What a received list makes of the catalogue, as values."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import msgspec

from prices.catalogue.changes import Change, ChangeKind
from prices.catalogue.model import LanguageModel
from prices.pricing.schedule import PriceSchedule


@dataclass(frozen=True, slots=True)
class Hold:
    """What upstream said of a model and nobody believed yet: its schedule, None where it had vanished."""

    slug: str
    model_id: int
    reason: str
    schedule: PriceSchedule | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A model that upstream listed for the first time, among too many to be believed: what it would cost."""

    slug: str
    schedule: str
    seen_at: datetime


class ModelDiff(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one model, which `was_listed` or comes; `after` is None for one that goes.

    `row_id` is its row, None before it has one. `reveals`: a window hides other base prices than before.
    `since` is when the new price began, None for the time of the list. What the model was is not kept: of a
    large list that would be as much again.
    """

    slug: str
    row_id: int | None
    was_listed: bool
    after: LanguageModel | None
    changes: tuple[Change, ...] = ()
    reveals: bool = False
    since: datetime | None = None

    @property
    def reprices(self) -> bool:
        """Whether a price begins to be in force that was not before."""
        attributes = ChangeKind.ATTRIBUTES
        return self.after is not None and any(change.kind is not attributes for change in self.changes)

    @property
    def learns(self) -> bool:
        """Whether only our knowledge grows: a base price that a window had hidden was seen."""
        return self.reveals and not self.reprices


@dataclass(frozen=True)
class CatalogueDiff:
    """What becomes of each model that does not stay as it is, and of each hold.

    `newcomers` are all new models that are held from now on, `doubt` says why, of those in this list.
    `reorders` where upstream's list is in another order than before, or of other models. `hides_until` is the
    first time at which the same list may show a base price that a window hides now, None where it hides none.
    """

    models: tuple[ModelDiff, ...] = ()
    reorders: bool = False
    held: tuple[Hold, ...] = ()
    confirmed: tuple[Hold, ...] = ()
    withdrawn: tuple[Hold, ...] = ()
    newcomers: tuple[Newcomer, ...] = ()
    doubt: str | None = None
    hides_until: datetime | None = None

    @cached_property
    def changes(self) -> int:
        """How many changes of price or membership there are; another attribute or text is none."""
        attributes = ChangeKind.ATTRIBUTES
        return sum(change.kind is not attributes for model in self.models for change in model.changes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing that we serve has changed."""
        return not (self.models or self.held or self.confirmed or self.withdrawn)
