"""What a failed run held goes with it: a pool process lives on for many runs."""

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from prices.refresh.claim import Claim
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.settings import Settings
from prices.services import Services


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
