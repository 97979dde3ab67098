"""What a failed run held goes with it: a pool process lives on for many runs."""

import gc
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from local.standin.client import Standin
from prices.errors import DatabaseUnavailableError
from prices.refresh import story
from prices.refresh.claim import Claim
from prices.refresh.commit import Committed
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.settings import Settings
from prices.services import Services
from tests.support.lists import body, model


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Nothing is collected but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("redis_is", ["there", "away"])
@pytest.mark.usefixtures("no_collections")
def test_a_failed_run_leaves_nothing_of_itself_behind(
    redis_is: str, services: Services, no_redis: Redis
) -> None:
    nowhere = Settings.from_env({"OPENROUTER_BASE_URL": "http://127.0.0.1:1/api/v1"}).upstream_url
    services = replace(services, settings=replace(services.settings, upstream_url=nowhere))
    if redis_is == "away":
        services = replace(services, redis=no_redis)
    for _run in range(3):
        with pytest.raises(RefreshFailedError):
            refresh_prices(services, worker="test", force=True)
        assert not [found for found in gc.get_objects() if isinstance(found, Claim)]


LARGE = b"x" * (33 * 1024 * 1024)
FAILING = {
    "no usable row": b'{"data":[{"id":"a/one","large":"%b"}]}' % LARGE,
    "a page of several": b'{"data":[{"id":"a/one"}],"total_count":7,"large":"%b"}' % LARGE,
    "no list": b'{"data":{"large":"%b"}}' % LARGE,
    "half a list": b'{"data":[{"id":"a/one","large":"%b"' % LARGE,
}


@pytest.mark.parametrize("failing", FAILING)
@pytest.mark.usefixtures("no_collections")
def test_runs_that_fail_with_a_large_list_do_not_grow_their_process(
    failing: str, services: Services, standin: Standin
) -> None:
    standin.answer(body=FAILING[failing].decode())

    def held_after_a_run() -> int:
        with pytest.raises(RefreshFailedError):
            refresh_prices(services, worker="test", force=True)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = held_after_a_run()
        assert first < len(LARGE)
        assert max(held_after_a_run() for _run in range(2)) - first < len(LARGE) // 4
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("no_collections")
def test_runs_that_cannot_commit_a_large_list_do_not_grow_their_process_beside_a_published_one(
    services: Services, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(note: str) -> str:
        return body(*(model(f"a/{number}", note=note * 8000) for number in range(900))).decode()

    def away(*_given: object) -> Committed:
        raise DatabaseUnavailableError("the database went away")

    standin.answer(body=large("x"))
    refresh_prices(services, worker="test", force=True)
    standin.answer(body=large("y"))
    monkeypatch.setattr(story, "commit", away)
    tracemalloc.start()
    try:
        for _run in range(3):
            with pytest.raises(RefreshFailedError):
                refresh_prices(services, worker="test", force=True)
        deadline = time.monotonic() + 30  # until what was packed ahead is packed
        while tracemalloc.get_traced_memory()[0] > 4_000_000:
            assert time.monotonic() < deadline, tracemalloc.get_traced_memory()
            time.sleep(0.1)
    finally:
        tracemalloc.stop()
