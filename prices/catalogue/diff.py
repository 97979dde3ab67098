"""Pure: what a received list makes of the catalogue, and what of it is held until it is said twice."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from prices.catalogue.attributes import say_the_same
from prices.catalogue.changes import Change, ChangeKind, attribute_changes, price_changes
from prices.catalogue.differences import CatalogueDiff, Hold, ModelDiff, Newcomer
from prices.catalogue.guards import Guards
from prices.catalogue.model import LanguageModel
from prices.pricing.schedule import PriceSchedule
from prices.upstream.model_list import OpenRouterList, OpenRouterModel, SkippedRow


def compare(
    stored: Iterable[LanguageModel],
    tombstones: Mapping[str, LanguageModel],
    listed: OpenRouterList,
    at: datetime,
    *,
    held: Mapping[str, Hold] | None = None,
    newcomers: Mapping[str, Newcomer] | None = None,
    guards: Guards | None = None,
) -> CatalogueDiff:
    """Compare the catalogue with upstream's list as received at a UTC time.

    `stored` gives the models that were listed, `tombstones` by slug those of the vanished that the list has
    again, as they were, `held` what is held of models by slug, and `newcomers` the new models that are held.
    Without `guards` everything is believed.
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
    waiting, new = newcomers or {}, []
    for position, said in named.values():
        if isinstance(said, SkippedRow):
            comparison.keep_waiting(waiting.get(said.id or ""))
        elif said.id in tombstones:
            comparison.add_again(said, position, tombstones[said.id])
        else:
            new.append((position, said))
    comparison.add_new(new, known, waiting)
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
        self._newcomers: list[Newcomer] = []
        self._growth: str | None = None
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
            tuple(self._newcomers),
            self._growth,
            self._hides_until,
        )

    def add_again(self, row: OpenRouterModel, position: int, tombstone: LanguageModel) -> None:
        """Add a model that returns: its price is doubted against the last that it had.

        What a window hides of it is as it was then.
        """
        schedule = self._seen(row, tombstone.schedule)
        after = LanguageModel(row.id, position, row.document, schedule, tombstone.row_id)
        if doubt := self._doubt(tombstone, after.schedule):
            self._hold(Hold(row.id, tombstone.row_id or 0, doubt, after.schedule, self._at))
            after = after.priced_as(tombstone)
        self._add(after, ChangeKind.RETURNED)

    def add_new(
        self, rows: list[tuple[int, OpenRouterModel]], known: int, waiting: Mapping[str, Newcomer]
    ) -> None:
        """Add models that are new. Too many at once wait until the next list has them too."""
        first_seen = sum(row.id not in waiting for _position, row in rows)
        self._growth = self._guards.doubt_growth(known, first_seen) if self._guards else None
        for position, row in rows:
            after = LanguageModel(row.id, position, row.document, self._seen(row, None))
            before = waiting.get(row.id)
            if self._growth and not before:
                self._newcomers.append(Newcomer(row.id, after.schedule.to_json(), self._at))
            elif before and before.schedule == after.schedule.to_json():
                self._add(after, ChangeKind.ADDED, self._first_seen(before))
            else:
                self._add(after, ChangeKind.ADDED)

    def keep_waiting(self, newcomer: Newcomer | None) -> None:
        """Hold on to a new model whose row could not be used this time."""
        if newcomer:
            self._newcomers.append(newcomer)

    def _add(self, after: LanguageModel, kind: ChangeKind, since: datetime | None = None) -> None:
        self._reorders = True
        change = Change(kind, after=after.schedule.to_json())
        self._models.append(
            ModelDiff(after.slug, after.row_id, was_listed=False, after=after, changes=(change,), since=since)
        )

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
            since = self._first_seen(hold)
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

    def _first_seen(self, doubted: Hold | Newcomer) -> datetime:
        """Give since when upstream has said it: never later than now, though the clock was set back."""
        return min(doubted.seen_at, self._at)

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
                self._remove(model, self._first_seen(hold))
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
