"""A language model as we keep it: upstream's JSON, its place in the list, and its price schedule."""

import msgspec

from prices.catalogue.attributes import Attributes
from prices.pricing.schedule import PriceSchedule


class LanguageModel(msgspec.Struct, frozen=True, gc=False):
    """One model of the catalogue. `row_id` is its row in the database, None before it has one."""

    slug: str
    position: int
    document: bytes
    schedule: PriceSchedule
    row_id: int | None = None

    @property
    def attributes(self) -> Attributes:
        """What we show of the model beside its price."""
        return Attributes.of(self.slug, self.document)

    def priced_as(self, other: "LanguageModel") -> "LanguageModel":
        """Give the model with the price of another, also in its document, which keeps all else as it is."""
        fields = msgspec.json.decode(self.document, type=dict[str, msgspec.Raw])
        fields["pricing"] = msgspec.json.decode(other.document, type=dict[str, msgspec.Raw])["pricing"]
        return msgspec.structs.replace(self, document=msgspec.json.encode(fields), schedule=other.schedule)
