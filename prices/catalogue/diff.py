"""Pure: what a received list makes of the catalogue, and what of it is held until it is said twice."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import msgspec

from prices.catalogue.attributes import say_the_same
from prices.catalogue.changes import Change, ChangeKind, attribute_changes, price_changes
from prices.catalogue.guards import Guards
from prices.catalogue.model import LanguageModel
from prices.pricing.schedule import PriceSchedule
from prices.upstream.model_list import OpenRouterList, OpenRouterModel, SkippedRow


@dataclass(frozen=True, slots=True)
class Hold:
    """What upstream said of a model and nobody believed yet: its schedule, None where it had vanished."""

    slug: str
    model_id: int
    reason: str
    schedule: PriceSchedule | None
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

    `reorders` where upstream's list is in another order than before, or of other models. `hides_until` is the
    first time at which the same list may show a base price that a window hides now, None where it hides none.
    """

    models: tuple[ModelDiff, ...] = ()
    reorders: bool = False
    held: tuple[Hold, ...] = ()
    confirmed: tuple[Hold, ...] = ()
    withdrawn: tuple[Hold, ...] = ()
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


def compare(
    stored: Iterable[LanguageModel],
    tombstones: Mapping[str, LanguageModel],
    listed: OpenRouterList,
    at: datetime,
    *,
    held: Mapping[str, Hold] | None = None,
    guards: Guards | None = None,
) -> CatalogueDiff:
    """Compare the catalogue with upstream's list as received at a UTC time.

    `stored` gives the models that were listed, `tombstones` by slug those of the vanished that the list has
    again, as they were, `held` what is held of models by slug. Without `guards` everything is believed.
    A row that could not be used, of a model that we know, leaves that model as it is: a good price
    does not vanish because upstream garbled it once.
    """
    comparison = _Comparison(held or {}, guards, at)
    named: dict[str | None, tuple[int, OpenRouterModel | SkippedRow]] = {}
    for position, row in enumerate(listed.rows):
        if isinstance(row, OpenRouterModel) or row.id not in named:
            named[row.id] = (position, row)
    missing, known = [], 0
    for before in stored:
        known += 1
        position, said = named.pop(before.slug, (0, None))
        if isinstance(said, OpenRouterModel):
            comparison.compare_listed(before, said, position)
        elif said is None:
            missing.append(before)
    for position, said in named.values():
        if isinstance(said, OpenRouterModel):
            comparison.add(said, position, tombstones.get(said.id))
    comparison.remove(missing, known)
    return comparison.result()


class _Comparison:
    """Collects the outcome of each model."""

    def __init__(self, held: Mapping[str, Hold], guards: Guards | None, at: datetime) -> None:
        self._holds, self._guards, self._at = held, guards, at
        self._models: list[ModelDiff] = []
        self._reorders = False
        self._held: list[Hold] = []
        self._confirmed: list[Hold] = []
        self._withdrawn: list[Hold] = []
        self._hides_until: datetime | None = None

    def result(self) -> CatalogueDiff:
        """Give what was found, in upstream's order, what has vanished last."""
        models = sorted(self._models, key=lambda diff: diff.after.position if diff.after else math.inf)
        return CatalogueDiff(
            tuple(models),
            self._reorders,
            tuple(self._held),
            tuple(self._confirmed),
            tuple(self._withdrawn),
            self._hides_until,
        )

    def add(self, row: OpenRouterModel, position: int, tombstone: LanguageModel | None) -> None:
        """Add a model that is new, or that returns: its price is doubted against the last that it had."""
        row_id = tombstone.row_id if tombstone else None
        after = LanguageModel(row.id, position, row.document, self._seen(row, None), row_id)
        if tombstone and (doubt := self._doubt(tombstone, after.schedule)):
            self._hold(Hold(row.id, tombstone.row_id or 0, doubt, after.schedule, self._at))
            after = after.priced_as(tombstone)
        kind = ChangeKind.RETURNED if tombstone else ChangeKind.ADDED
        change = Change(kind, after=after.schedule.to_json())
        self._reorders = True
        self._models.append(ModelDiff(row.id, row_id, was_listed=False, after=after, changes=(change,)))

    def compare_listed(self, before: LanguageModel, row: OpenRouterModel, position: int) -> None:
        hold = self._holds.get(before.slug)
        same = before.document == row.document
        if same and before.position == position and not hold and not row.schedule.overrides:
            return
        waiting = self._hold_that_is_hidden(before, row)
        schedule = self._seen(row, waiting or before.schedule)
        changes = price_changes(before.schedule, schedule)
        after = LanguageModel(row.id, position, row.document, schedule, before.row_id)
        since = None
        if waiting and self._guards and not price_changes(waiting, schedule):
            after, changes = after.priced_as(before), ()
        elif hold and hold.schedule and not price_changes(hold.schedule, schedule):
            self._confirmed.append(hold)
            since = hold.seen_at
        elif doubt := self._doubt(before, schedule):
            self._hold(Hold(before.slug, before.row_id or 0, doubt, schedule, self._at))
            after, changes = after.priced_as(before), ()
        elif hold:
            self._withdrawn.append(hold)
        if not changes and not schedule.unseen < before.schedule.unseen:
            after = LanguageModel(row.id, position, after.document, before.schedule, before.row_id)
        if not same and not say_the_same(before.document, after.document):
            changes += attribute_changes(before.attributes, after.attributes)
        if before != after:
            self._reorders |= before.position != position
            reveals = before.schedule.unseen != after.schedule.unseen
            self._models.append(
                ModelDiff(
                    before.slug,
                    before.row_id,
                    was_listed=True,
                    after=after,
                    changes=changes,
                    reveals=reveals,
                    since=since,
                )
            )

    def _seen(self, row: OpenRouterModel, before: PriceSchedule | None) -> PriceSchedule:
        """Give the schedule that a row shows; what a window hides of it is as it was before."""
        if not row.schedule.overrides:
            return row.schedule
        if hides_until := row.schedule.hidden_until(self._at):
            self._hides_until = min(self._hides_until or hides_until, hides_until)
        return row.schedule.seen_after(before, self._at)

    def _hold_that_is_hidden(self, before: LanguageModel, row: OpenRouterModel) -> PriceSchedule | None:
        """Give the schedule that is held where a window hides now what is doubted of it.

        A hidden price neither confirms the hold nor withdraws it. Under other overrides than the held ones,
        upstream has said something else.
        """
        hold = self._holds.get(before.slug)
        if hold is None or hold.schedule is None:
            return None
        if hold.schedule.meaning_of_overrides != row.schedule.meaning_of_overrides:
            return None
        doubted = {change.part for change in price_changes(before.schedule, hold.schedule)}
        return hold.schedule if doubted & row.schedule.hidden(self._at) else None

    def _doubt(self, before: LanguageModel, schedule: PriceSchedule) -> str | None:
        if self._guards is None:
            return None
        return self._guards.doubt_price(before.slug, before.schedule, schedule)

    def _hold(self, hold: Hold) -> None:
        """Hold what upstream says; what was held of the model before is taken back."""
        if earlier := self._holds.get(hold.slug):
            self._withdrawn.append(earlier)
        self._held.append(hold)

    def remove(self, missing: list[LanguageModel], known: int) -> None:
        doubt = self._guards and self._guards.doubt_loss(known, len(missing))
        for model in missing:
            hold = self._holds.get(model.slug)
            if hold and hold.schedule is None:
                self._confirmed.append(hold)
                self._remove(model, hold.seen_at)
            elif doubt:
                self._hold(Hold(model.slug, model.row_id or 0, doubt, None, self._at))
            else:
                if hold:
                    self._withdrawn.append(hold)
                self._remove(model, None)

    def _remove(self, model: LanguageModel, since: datetime | None) -> None:
        self._reorders = True
        change = Change(ChangeKind.REMOVED, before=model.schedule.to_json())
        self._models.append(
            ModelDiff(model.slug, model.row_id, was_listed=True, after=None, changes=(change,), since=since)
        )
