"""Pure: what a received list changes in the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from prices.language_model import LanguageModel
from prices.openrouter import OpenRouterList, SkippedRow


@dataclass(frozen=True, slots=True)
class CatalogueDiff:
    """What becomes of each model that does not stay as it is. Each model stands in one place only."""

    added: tuple[LanguageModel, ...] = ()
    returned: tuple[LanguageModel, ...] = ()
    repriced: tuple[LanguageModel, ...] = ()
    edited: tuple[LanguageModel, ...] = ()
    """Another text or place in the list at the same price."""
    removed: tuple[LanguageModel, ...] = ()

    @property
    def changes(self) -> int:
        """How many changes of price or membership there are; an edit is none."""
        return len(self.added) + len(self.returned) + len(self.repriced) + len(self.removed)

    @property
    def is_empty(self) -> bool:
        """Whether nothing that we serve has changed."""
        return not (self.changes or self.edited)


def compare(
    stored: Mapping[str, LanguageModel],
    tombstones: Mapping[str, int],
    listed: OpenRouterList,
    at: datetime,
) -> CatalogueDiff:
    """Compare the catalogue with upstream's list as received at a UTC time.

    `stored` holds the models by slug, `tombstones` the rows of vanished ones by slug.
    A row that could not be used, of a model that we know, leaves that model as it is: a good price
    does not vanish because upstream garbled it once.
    """
    added, returned, repriced, edited = [], [], [], []
    for position, row in enumerate(listed.rows):
        if isinstance(row, SkippedRow):
            continue
        before = stored.get(row.id)
        row_id = before.row_id if before else tombstones.get(row.id)
        schedule = row.schedule.seen_after(before.schedule, at) if before else row.schedule
        after = LanguageModel(row.id, position, row.document, schedule, row_id)
        if row_id is None:
            added.append(after)
        elif before is None:
            returned.append(after)
        elif before.schedule.meaning != after.schedule.meaning:
            repriced.append(after)
        elif before.document != after.document or before.position != position:
            edited.append(after)
    named = {row.id for row in listed.rows}
    removed = [model for slug, model in stored.items() if slug not in named]
    return CatalogueDiff(*map(tuple, (added, returned, repriced, edited, removed)))
