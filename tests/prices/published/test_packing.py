"""Bodies packed beside other work are those that the database would give."""

import gzip
from typing import Any

import brotli
import msgspec
import pytest
import zstandard

from local.standin.client import Standin
from prices.published import make, packing
from prices.published.make import make_publication
from prices.published.packing import WORTH_A_THREAD, begin_to_pack, pack
from prices.published.redis_copy import Publication, read_publication
from prices.refresh.story import refresh_prices
from prices.services import Services


@pytest.mark.parametrize("size", [0, 1, WORTH_A_THREAD - 1, WORTH_A_THREAD, 3 * WORTH_A_THREAD])
def test_a_body_comes_out_the_same_however_it_is_packed(size: int) -> None:
    body = b"0123456789abcdef" * (size // 16) + b"x" * (size % 16)
    packed = begin_to_pack(body)()
    assert packed == pack(body)
    assert gzip.decompress(packed.gzip) == body
    assert brotli.decompress(packed.br) == body
    assert zstandard.decompress(packed.zstd) == body


def published(services: Services) -> Publication:
    read = read_publication(services.redis, services.keys)
    assert read
    assert read == make_publication(services.engine, services.settings.markup)
    return read[1]


def test_upstreams_list_is_packed_while_it_is_committed_and_not_read_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(make, "documents", lambda *_: pytest.fail("the documents were read again"))
        refresh_prices(services, worker="test")
    assert len(published(services).models.encoded("identity")) > WORTH_A_THREAD


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


def test_a_list_too_large_to_be_there_twice_is_packed_when_it_is_published(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_AHEAD", WORTH_A_THREAD)
    monkeypatch.setattr(packing, "PackedAhead", lambda *_: pytest.fail("packed ahead"))
    refresh_prices(services, worker="test")
    assert listed(services)


def test_a_process_that_may_start_no_thread_packs_the_list_when_it_is_published(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_what: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(packing, "PackedAhead", refused)
    assert refresh_prices(services, worker="test").outcome == "refreshed"
    assert listed(services)


def listed(services: Services) -> dict[str, Any]:
    rows = msgspec.json.decode(published(services).models.encoded("identity"))["data"]
    return {row["id"]: row for row in rows}
