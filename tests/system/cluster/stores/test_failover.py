"""Redis fails over to a replica that never saw the lock, as asynchronous replication allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from celery import Celery
from redis import Redis

from local.guardian import Guardian
from local.ports import HOST
from local.redis_server import RedisServer
from prices.coordination.lease import read_holder
from prices.runtime.redis_client import LOCK_KEY, make_redis
from tests.support.ports import free_port
from tests.system.cluster.cluster import Cluster, outcome, send
from tests.system.cluster.conftest import ON_SQLITE, Record
from tests.system.cluster.proxy import Proxy
from tests.system.cluster.trial import Trial


@dataclass(frozen=True)
class Replica:
    """A Redis that follows another: its port, a client of it, and the wire by which it follows."""

    port: int
    redis: Redis
    stream: Proxy


@contextmanager
def replica_of(cluster: Cluster, guardian: Guardian, folder: Path) -> Iterator[Replica]:
    """Start a replica of the cluster's Redis, and wait until it follows."""
    password = unquote(urlsplit(cluster.redis.url).password or "")
    server = RedisServer(
        folder,
        port=free_port(),
        password=password,
        persistent=False,
        spawn=lambda command, output: guardian.spawn(command, last=True, output=output),
    )
    with Proxy((HOST, cluster.redis.port)) as stream, server, make_redis(server.url) as redis:
        redis.config_set("masterauth", password)
        redis.replicaof(HOST, str(stream.port))
        cluster.wait_until(
            lambda: redis.info("replication")["master_link_status"] == "up",  # type: ignore[index]
            "the replica follows",
        )
        yield Replica(server.port, redis, stream)


@contextmanager
def failed_over(cluster: Cluster, wire: Proxy, replica: Replica) -> Iterator[None]:
    """Destroy the cluster's Redis and put the replica in its place; afterwards a new one."""
    services = cluster.services
    cluster.redis.kill()
    replica.redis.replicaof("NO", "ONE")
    wire.retarget((HOST, replica.port))
    cluster.services = replace(services, redis=replica.redis)
    try:
        yield
    finally:
        cluster.services = services
        cluster.redis.server.start()
        wire.retarget((HOST, cluster.redis.port))


@ON_SQLITE
def test_after_a_failover_to_a_replica_without_the_lock_nobody_else_begins(
    engine_name: str,
    cluster: Cluster,
    redis_wire: Proxy,
    app: Celery,
    guardian: Guardian,
    tmp_path: Path,
    record: Record,
) -> None:
    with replica_of(cluster, guardian, tmp_path) as replica:
        trial = Trial(cluster)
        cluster.wait_until(
            lambda: replica.redis.get(cluster.services.keys.fresh) is None, "the replica knows what is due"
        )
        replica.stream.hang()  # what is written from now on, the replica never sees
        send(app)
        cluster.standin.wait_for(held=1, timeout=20)
        assert read_holder(cluster.services.redis, LOCK_KEY) is not None
        assert read_holder(replica.redis, LOCK_KEY) is None

        trial.start_clock()
        with failed_over(cluster, redis_wire, replica):
            status, told = outcome(cluster.start_command("run-once", "--json"))
            assert (status, told["reason"]) == (3, "held")
            assert told["holder"] == trial.runs()[0]["worker"]
            cluster.standin.release()
            trial.wait_until_recovered()
            trial.assert_refreshed()
    fault = "fails over in a fetch to a replica that never saw the lock"
    happens = "the run goes on; others hear from the database who refreshes"
    record(trial.row("Redis", fault, engine_name, happens))
