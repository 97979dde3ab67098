"""Dated bodies on disk, and what each of them says: recorded ones where they are, made-up ones always."""

import gzip
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from local.standin import catalogue
from prices.formats.pricebeat import plain
from prices.history.read import PriceInterval
from prices.pricing.rates import rates_at
from prices.runtime.settings import ROOT

RECORDED = ROOT.parent / "shared" / "openrouter"

_DAY = datetime(2025, 8, 7, tzinfo=UTC)
TIMES = (
    # Around a day, at whole and at odd hours: windows, hours of false zeros, keys that come and go.
    *(_DAY + timedelta(hours=hours) for hours in (0, 3, 6, 9, 10.5, 12, 15, 18.25, 21, 24)),
    # Weeks on: models leave and return, prices are falsely zero for weeks.
    *(_DAY + timedelta(weeks=weeks, hours=13) for weeks in (1, 3, 5, 7, 9)),
)
MODELS = 80


def made_up(folder: Path, times: tuple[datetime, ...] = TIMES, models: int = MODELS) -> Path:
    """Write bodies of the stand-in's catalogue, as of times in the past, into a folder."""
    for at in times:
        name = f"{at:%Y-%m-%dT%H%MZ}.json.gz"
        (folder / name).write_bytes(gzip.compress(catalogue.body(models, at), 1))
    return folder


def said(body: bytes) -> dict[str, dict[str, str]]:
    """Every price of a body by model and dimension, in its order, without trailing zeros."""
    rows = json.loads(body, parse_float=str, parse_int=str)["data"]
    return {
        row["id"]: {
            name: plain(abs(amount) if not (amount := Decimal(price)) else amount)
            for name, price in row["pricing"].items()
            if isinstance(price, str) and name != "discount"
        }
        for row in rows
    }


def told(prices: Iterable[PriceInterval], at: datetime) -> dict[str, dict[str, str]]:
    """The same of an answer: what was in force at a time."""
    return {
        price.slug: {
            name: plain(Decimal(shown.text)) for name, shown in rates_at(price.schedule, at, 0).known.items()
        }
        for price in prices
    }


def agree(body: bytes, answer: dict[str, dict[str, str]]) -> None:
    """Assert that an answer is what a body says: each model in its place, each price to the digit."""
    expected: dict[str, dict[str, Any]] = said(body)
    assert list(answer) == list(expected)
    for slug, prices in expected.items():
        assert answer[slug] == prices, slug
