"""One hostile row costs that row at most: never the other prices, and never the next refresh."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from local.standin.client import Standin
from prices.published.make import make_publication
from prices.published.redis_copy import read_publication
from prices.published.snapshot import Snapshot
from prices.refresh import story
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import PAYLOAD_KEY
from prices.services import Services
from prices.store import queries
from prices.store.database import reading
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


LARGE = "x" * (33 * 1024 * 1024)
HOSTILE_FIELDS = {
    "of 33 MiB": json.dumps(LARGE),
    "of 33 MiB in small values": f"[{','.join(['12345678'] * 3_700_000)}]",
    "a number beyond all floats": "1e400",
    "nested without end": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("where", ["row", "envelope"])
@pytest.mark.parametrize("what", HOSTILE_FIELDS)
def test_a_field_that_nobody_should_get_reaches_no_client(
    what: str,
    where: str,
    services: Services,
    standin: Standin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warnings: list[dict[str, Any]] = []
    monkeypatch.setattr(story.log, "warning", lambda _event, **fields: warnings.append(fields))
    hostile = f',"hostile":{HOSTILE_FIELDS[what]}'
    row = json.dumps(model("a/one", note="kept"))[:-1]
    in_row, in_envelope = (hostile, "") if where == "row" else ("", hostile)
    standin.answer(body=f'{{"data":[{row}{in_row}}}],"about":"kept"{in_envelope}}}')

    done = refresh_prices(services, worker="test", force=True)

    assert (done.outcome, done.models, done.skipped_rows) == ("refreshed", 1, 0)
    owner = "row 0 (a/one)" if where == "row" else "envelope"
    assert warnings == [{"count": 1, "fields": [f"{owner}: hostile"]}]
    with reading(services.engine) as connection:
        run = queries.describe_run(queries.run(connection, done.run_id or 0))
    assert run["skipped"] == ["fields dropped as too large or unreadable: 1"]
    for snapshot in (Snapshot(*make_publication(services.engine, Decimal(1))), reader_of(services).current()):
        served = json.loads(snapshot.models_body)
        assert served["about"] == "kept"
        assert served["data"] == [model("a/one", note="kept")]
        assert "hostile" not in served


def test_a_model_with_too_many_fields_is_served_with_those_that_fit(
    services: Services, standin: Standin
) -> None:
    fields = {f"field-{number:05}": "x" * (number % 500) for number in range(2000)}
    standin.answer(body=body(model("a/one", **fields), **fields).decode())
    refresh_prices(services, worker="test", force=True)
    snapshot = reader_of(services).current()
    served = json.loads(snapshot.models_body)
    (row,) = served.pop("data")
    assert row["name"] == "A/One"
    assert 30_000 < len(json.dumps(row, separators=(",", ":"))) < 34_000
    assert 62_000 < len(json.dumps(served, separators=(",", ":"))) < 67_000


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_price_that_is_too_large_costs_its_row_only(services: Services, standin: Standin) -> None:
    standin.answer(body=body(model("a/one"), model("a/two")).decode())
    refresh_prices(services, worker="test")
    odd = model("a/one", prompt="7", pricing={"note": LARGE})
    standin.answer(body=body(odd, model("a/two", prompt="0.000003")).decode())
    done = refresh_prices(services, worker="test", force=True)
    assert (done.skipped_rows, done.changes) == (1, 1)
    documents = reader_of(services).current().documents
    prompts = [json.loads(document)["pricing"]["prompt"] for document in documents.values()]
    assert prompts == ["0.000001", "0.000003"]


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
