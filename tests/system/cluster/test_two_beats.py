"""Two beats: one leads and sends, the other stands by and takes over when the leader is destroyed."""

import time
from collections.abc import Callable, Iterator

import pytest

from prices.coordination.lease import read_holder
from tests.system.cluster.cluster import Cluster
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.matrix import BEATS, FaultRow
from tests.system.cluster.nodes import BeatNode

LEASE = 2
LEADS = "Beat leads now"
SENT = "Sent the refresh that is due"
Record = Callable[[FaultRow], None]


@pytest.fixture(scope="module")
def began() -> float:
    """A time before the beats were started."""
    return time.monotonic()


@pytest.fixture(scope="module")
def cluster(began: float, open_cluster: OpenCluster) -> Iterator[Cluster]:
    """Two beats with a short lease, and nobody who takes what they send."""
    with open_cluster("sqlite", PRICE_LOCK_LEASE=str(LEASE)) as cluster:
        cluster.start_beat("first")
        cluster.start_beat("second")
        cluster.wait_until_up()
        yield cluster


def leader_pid(cluster: Cluster) -> int | None:
    holder = read_holder(cluster.services.redis, cluster.services.keys.beat_leader)
    return int(holder.name.rsplit(":", 1)[1]) if holder else None


def test_one_of_two_beats_leads_and_sends_and_the_other_stands_by(cluster: Cluster, began: float) -> None:
    cluster.wait_until(cluster.queued, "a message is sent")
    seen = set()
    until = time.monotonic() + 2 * LEASE

    def watched() -> bool:
        seen.add(leader_pid(cluster))
        return time.monotonic() >= until

    cluster.wait_until(watched, "both beats have looked again", 15)
    assert len(seen) == 1
    logs = [node.logs() for node in cluster.nodes.values()]
    assert sorted(LEADS in log for log in logs) == [False, True]
    assert [SENT in log for log in logs] == [LEADS in log for log in logs]
    # Nobody takes the message, so every two leases it is sent again.
    assert cluster.queued() <= 1 + (time.monotonic() - began) // (2 * LEASE)


def test_when_the_leader_is_destroyed_the_other_leads_within_two_leases(
    cluster: Cluster, record: Record
) -> None:
    (leader,) = [node for node in cluster.nodes.values() if node.process.pid == leader_pid(cluster)]
    (other,) = [node for node in cluster.nodes.values() if node is not leader]
    assert isinstance(other, BeatNode)

    leader.kill()
    killed = time.monotonic()

    cluster.wait_until(
        lambda: leader_pid(cluster) == other.process.pid, "the other leads within two leases", 2 * LEASE
    )
    seconds = time.monotonic() - killed
    cluster.wait_for_log(other, LEADS, 1)
    happens = "another leads when its lease has run out"
    record(FaultRow(BEATS, "the one that leads is killed", "sqlite", happens, seconds, 0))


def test_a_leader_that_ends_in_order_lets_another_lead_at_once(cluster: Cluster, record: Record) -> None:
    (leader,) = [node for node in cluster.nodes.values() if node.process.status == "running"]
    newcomer = cluster.start_beat("newcomer")
    cluster.wait_for_log(newcomer, newcomer.ready_prompt)

    told = time.monotonic()
    cluster.end(leader)

    cluster.wait_until(lambda: leader_pid(cluster) == newcomer.process.pid, "the newcomer leads", LEASE)
    seconds = time.monotonic() - told
    happens = "it gives the lead up, another leads at once"
    record(FaultRow(BEATS, "the one that leads is told to end", "sqlite", happens, seconds, 0))
