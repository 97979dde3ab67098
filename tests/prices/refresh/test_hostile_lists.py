"""One hostile row costs that row at most: never the other prices, and never the next refresh."""

from collections.abc import Callable

import pytest

from local.standin.client import Standin
from prices.published.redis_copy import read_publication
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import PAYLOAD_KEY
from prices.services import Services
from tests.prices.upstream.test_model_list import ODD_TEXTS
from tests.support.lists import body, model
from tests.support.readers import reader_of

Send = Callable[..., list[str]]


@pytest.fixture
def upstream_sends(standin: Standin, services: Services) -> Send:
    """Let upstream send rows, refresh, and give the ids that are served afterwards."""

    def send(*rows: object) -> list[str]:
        standin.answer(body=body(*rows).decode(errors="surrogateescape"))
        refresh_prices(services, worker="test", force=True)
        services.redis.flushall()  # so that the reader makes the bodies from the database
        return list(reader_of(services).current().documents)

    return send


@pytest.mark.parametrize("oddity", ODD_TEXTS)
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_price_that_moves_beside_a_hostile_row_is_served(
    oddity: str, upstream_sends: Send, services: Services
) -> None:
    assert upstream_sends(model("a/one", prompt="1")) == ["a/one"]
    odd = b'{"id":"a/odd","pricing":{"prompt":"1","completion":"1"},' + ODD_TEXTS[oddity] + b"}"
    served = upstream_sends(model("a/one", prompt="2"), odd)
    assert served[0] == "a/one"
    assert b'"prompt":"2"' in reader_of(services).current().documents["a/one"].replace(b" ", b"")


def test_a_failed_body_whose_ids_hold_nul_closes_its_run(services: Services, standin: Standin) -> None:
    standin.answer(body='{"data":[{"id":"a\\u0000b"}]}')
    with pytest.raises(RefreshFailedError, match="no usable row"):
        refresh_prices(services, worker="test")
    standin.clear()
    assert refresh_prices(services, worker="test", force=True).outcome == "refreshed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_garbage_in_the_stash_does_not_stop_refreshes(services: Services, standin: Standin) -> None:
    refresh_prices(services, worker="test")
    services.redis.set(PAYLOAD_KEY, b"\x83\xa6run_id\xcd\x03\xe8")
    assert refresh_prices(services, worker="test", force=True).outcome == "refreshed"
    assert read_publication(services.redis, services.keys) is not None
    assert standin.requests()["received"] == 2
