"""Connections to PostgreSQL are lost after it took a query, as by a failover; neither end is told."""

from collections.abc import Iterator

import pytest
from celery import Celery

from tests.system.cluster.cluster import Cluster, get, send
from tests.system.cluster.conftest import ON_POSTGRESQL, Record
from tests.system.cluster.nodes import HttpNode
from tests.system.cluster.proxy import Proxy
from tests.system.cluster.trial import Trial

PAST = "/api/v1/changes"
LOST_SECONDS = 12 + 2 + 5
"""How long a process waits for a lost server, connects, and then looks again."""


@pytest.fixture
def web(cluster: Cluster) -> Iterator[HttpNode]:
    web = cluster.start_web()
    cluster.wait_until_up()
    yield web
    cluster.end(web)
    del cluster.nodes[web.name]


@ON_POSTGRESQL
def test_connections_that_are_lost_are_given_up_by_everyone_and_replaced(
    engine_name: str, cluster: Cluster, database_wire: Proxy, app: Celery, web: HttpNode, record: Record
) -> None:
    trial = Trial(cluster)
    send(app)
    cluster.standin.wait_for(held=1, timeout=20)
    assert get(web.port, PAST).status == 200

    trial.start_clock()
    database_wire.lose()
    cluster.standin.release()
    asked = [get(web.port, PAST) for _ in range(3)]
    assert {answer.status for answer in asked} <= {200, 503}
    assert max(answer.seconds for answer in asked) < 6
    assert get(web.port, PAST).status == 200
    assert get(web.port, "/health").status == 200

    trial.wait_until_recovered(60)
    trial.assert_refreshed(failed=range(3))
    redis, mark = cluster.services.redis, cluster.services.keys.fresh
    redis.set(mark, "0")
    cluster.make_stale()
    redis.set(mark, "0")
    cluster.wait_until(lambda: redis.get(mark) is None, "beat looks at the database", LOST_SECONDS)
    happens = "who waits gives up after 12 s, a question about the past after 5 s; all connect anew"
    record(trial.row("Database", "is lost after it took a query", engine_name, happens))
