"""The catalogue as client formats write it, made of rows as upstream sends them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from prices.catalogue.attributes import Attributes
from prices.catalogue.records import PriceInterval
from prices.formats.format import CurrentModel, Details, Format
from prices.upstream.model_list import OpenRouterList
from tests.support.lists import listed, model

SINCE = datetime(2026, 8, 6, 9, tzinfo=UTC)
PLAIN = "0.000002", "0.000008"
WRITES = {
    "input_cache_read": "0.0000002",
    "input_cache_write": "0.0000025",
    "input_cache_write_1h": "0.000004",
}
TIER = {"min_prompt_tokens": 200000, "prompt": "0.000004", "completion": "0.000012"}
NIGHT = {"utc_start": 1630, "utc_end": 30, "prompt": "0.000001", "completion": "0.000004"}
WORKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]
OFFICE = {"utc_days": WORKDAYS, "utc_start": 900, "utc_end": 1700, "prompt": "0.000003"}


def priced(**pricing: Any) -> dict[str, Any]:
    """One row, 2 and 8 USD per million tokens; `pricing` adds to its price."""
    return model("a/one", *PLAIN, pricing=pricing)  # type: ignore[no-any-return]


def current(read: OpenRouterList) -> list[CurrentModel]:
    """Give a list as formats take it."""
    return [
        CurrentModel.of(
            PriceInterval(row.id, Attributes.of(row.id, row.document), row.schedule, SINCE, None, 7),
            Details.of(row.document)[1],
        )
        for row in read.models
    ]


def written(form: Format, *rows: Any) -> Any:
    """Write rows in a format of JSON, and read that back: numbers as exact decimals."""
    return decoded(form.write(current(listed(*rows))))


def decoded(body: bytes) -> Any:
    """Read JSON without any float."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)
