"""Pure: which changes are too odd to be believed before upstream has said them twice.

Upstream's list has shown false zeros for hours and for weeks, and moves beyond ten times that were
genuine: what is held is served as it was, and believed when the next refresh says the same. The most models
that came at once, and were genuine, were 61 where 300 were listed.
"""

from dataclasses import dataclass
from decimal import Decimal

from prices.catalogue.changes import moves
from prices.pricing.schedule import PriceSchedule

FREE_SUFFIX = ":free"
FEW_MODELS = 10
"""How many new models are no flood, however short the list is."""


@dataclass(frozen=True, slots=True)
class Guards:
    """The bounds of what is believed at once.

    The factor by which a price may move, the share of the models that may vanish, and that which may come.
    """

    factor: Decimal = Decimal(10)
    loss: Decimal = Decimal("0.5")
    growth: Decimal = Decimal(1)

    def doubt_price(self, slug: str, before: PriceSchedule, after: PriceSchedule) -> str | None:
        """Say why a model's new schedule is to be held, None where it is not."""
        for place, old, new in moves(before, after):
            if old == new:
                continue
            if slug.endswith(FREE_SUFFIX) and old == 0:
                return f"{place} of a {FREE_SUFFIX} model would cost {new:f}"
            if new == 0 and not slug.endswith(FREE_SUFFIX):
                return f"{place} would be free after {old:f}"
            if old and new and (new > old * self.factor or old > new * self.factor):
                return f"{place} would move from {old:f} to {new:f}"
        return None

    def doubt_loss(self, known: int, missing: int) -> str | None:
        """Say why models that vanish together are to be held, None where they are not."""
        if missing > self.loss * known:
            return f"the list would lose {missing} of {known} models"
        return None

    def doubt_growth(self, known: int, new: int) -> str | None:
        """Say why models that come together are to be held, None where they are not.

        A first list has nothing to be compared with, and a few models may always come.
        """
        if known and new > FEW_MODELS and new > self.growth * known:
            return f"the list would grow from {known} by {new} models"
        return None
