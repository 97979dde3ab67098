"""Bodies are packed once; those that are published are those that the database gives."""

import gzip
from typing import Any

import brotli
import msgspec
import pytest
import zstandard

from local.standin.client import Standin
from prices.published.bodies import Publication
from prices.published.make import make_publication
from prices.published.packing import pack
from prices.published.redis_copy import read_publication
from prices.refresh.story import refresh_prices
from prices.services import Services


@pytest.mark.parametrize("body", [b"", b"x", b"0123456789abcdef" * 10_000], ids=len)
def test_a_body_comes_out_the_same_of_each_encoding(body: bytes) -> None:
    packed = pack(body)
    assert packed == pack(body)
    assert gzip.decompress(packed.gzip) == body
    assert brotli.decompress(packed.br) == body
    assert zstandard.decompress(packed.zstd) == body


def published(services: Services) -> Publication:
    read = read_publication(services.redis, services.keys)
    assert read
    assert read == make_publication(services.engine, services.settings.markup)
    return read[1]


@pytest.mark.parametrize("said", ["0", "no price"], ids=["held", "skipped"])
def test_what_upstream_says_and_nobody_believes_is_not_published(
    said: str, services: Services, standin: Standin
) -> None:
    refresh_prices(services, worker="test")
    before = listed(services)
    moved = next(slug for slug, row in before.items() if float(row["pricing"]["prompt"]) > 0)
    standin.answer(patch={moved: {"pricing.prompt": said}})
    done = refresh_prices(services, worker="test", force=True)
    assert (done.held or 0) + (done.skipped_rows or 0) == 1
    assert listed(services)[moved]["pricing"] == before[moved]["pricing"]


def listed(services: Services) -> dict[str, Any]:
    rows = msgspec.json.decode(published(services).models.encoded("identity"))["data"]
    return {row["id"]: row for row in rows}
