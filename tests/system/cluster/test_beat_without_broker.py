"""A broker of its own that is away when beat first sends: beat leads, repairs, and sends when it is back."""

import time
from collections.abc import Callable, Iterator

import pytest

from local.ports import HOST
from prices.coordination.heartbeats import BEAT_SECONDS
from prices.runtime.redis_client import make_redis
from tests.system.cluster.cluster import Cluster
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import BEATS, FaultRow
from tests.system.cluster.proxy import Proxy

LEASE = 3
OUTAGES: dict[str, Callable[[Proxy], None]] = {"refuses": Proxy.refuse, "hangs": Proxy.hang}


@pytest.fixture(scope="module")
def broker() -> Iterator[Proxy]:
    """The way to the broker."""
    with Proxy((HOST, 1)) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster, broker: Proxy) -> Iterator[Cluster]:
    """No prices yet and no worker; the broker is another database of the Redis, behind a proxy."""
    with open_cluster("sqlite", PRICE_LOCK_LEASE=str(LEASE)) as cluster:
        broker.retarget((HOST, cluster.redis.port))
        direct = f":{cluster.redis.port}/0"
        cluster.env["CELERY_BROKER_URL"] = cluster.redis.url.replace(direct, f":{broker.port}/1")
        yield cluster


def last_heartbeat(cluster: Cluster) -> float:
    """When the one beat said that it lives, by Redis's clock."""
    ((_name, at),) = cluster.services.redis.zrange(cluster.services.keys.alive, 0, -1, withscores=True)
    return float(at)


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_beat_whose_broker_is_away_does_all_else_and_sends_once_it_is_back(
    outage: str, cluster: Cluster, broker: Proxy, record: Record
) -> None:
    redis = cluster.services.redis
    redis.flushall()
    OUTAGES[outage](broker)

    beat = cluster.start_beat()
    cluster.wait_for_log(beat, "part=schedule", 30)
    for _ in range(2):  # also after it has tried to send
        redis.delete(cluster.services.keys.snapshot)
        cluster.wait_until(cluster.published_is_current, "beat publishes what Redis has lost", 4 * LEASE)
    heartbeat_at = last_heartbeat(cluster)

    def has_spoken_again() -> bool:
        assert redis.get(cluster.services.keys.beat_leader)
        return last_heartbeat(cluster) > heartbeat_at

    cluster.wait_until(has_spoken_again, "beat leads all the time and says that it lives", 2 * BEAT_SECONDS)
    assert "beat: Connection error" not in beat.logs()
    back = time.monotonic()
    broker.pass_on()

    with make_redis(cluster.redis.url.replace("/0", "/1")) as queue:
        cluster.wait_until(lambda: queue.llen("celery"), "the message is sent", 15)
        seconds = time.monotonic() - back
        cluster.wait_for_log(beat, "Sent the refresh that is due")
        assert queue.llen("celery") == 1
    cluster.end(beat)
    assert "Traceback" not in beat.logs()
    happens = "it leads, lives and publishes meanwhile, and sends once the broker is back"
    record(
        FaultRow(
            BEATS,
            f"their broker, apart from Redis, {outage} at the first send",
            "sqlite",
            happens,
            seconds,
            0,
        )
    )
