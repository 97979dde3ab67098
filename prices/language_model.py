"""A language model as we keep it: upstream's JSON, its place in the list, and its price schedule."""

from dataclasses import dataclass

from prices.schedule import PriceSchedule


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """One model of the catalogue. `row_id` is its row in the database, None before it has one."""

    slug: str
    position: int
    document: bytes
    schedule: PriceSchedule
    row_id: int | None = None
