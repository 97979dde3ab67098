"""How many connections to Redis a minimal cluster holds: at rest, and at most while all of it is used."""

import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from prices.runtime.redis_client import CLIENT_NAME, make_redis
from prices.runtime.settings import ROOT
from tests.system.cluster.cluster import FLOWER_USER, Cluster, get
from tests.system.cluster.conftest import OpenCluster

SMALLEST_PLAN = 20
"""How many connections the smallest plans of hosted Redis allow."""
AT_MOST = {
    "web": {"state": 4},
    "worker": {"messages": 2, "commands": 3, "heartbeat": 1, "results": 3, "state": 4},
    "beat": {"messages": 1, "commands": 1, "state": 2},
    "flower": {"messages": 2, "commands": 1, "page": 1},
}
"""Of two web processes, a worker of two processes, a beat and Flower, as docs/operations.md says."""
COMMAND = f"{CLIENT_NAME}:command:"
"""How the connections of commands begin, which come and go."""
BEFORE_THE_NAME = ("NULL", "auth", "hello", "client")
"""What a connection has done last that has just been opened."""
PAGES = ("/", "/worker/worker@one", "/tasks", "/broker", "/api/workers?refresh=1", "/api/queues/length")


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """The smallest cluster that has everything."""
    with open_cluster("sqlite", WEB_CONCURRENCY="2", WORKER_CONCURRENCY="2") as cluster:
        cluster.start_worker("one")
        cluster.start_beat()
        cluster.start_web()
        cluster.start_flower()
        cluster.wait_until_up()
        cluster.wait_until(lambda: [run for run in cluster.runs() if run["outcome"]], "a refresh", 30)
        yield cluster


class Observer:
    """Looks at the connections all the time, and notes the most that there were of each kind and in all."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._own = redis.client_id()
        self._over = threading.Event()
        self.most: Counter[str] = Counter()
        self.most_at_once = 0

    def names(self) -> list[str]:
        """The names of all connections but the observer's."""
        return sorted(
            one["name"] or f"unnamed, {one['cmd']}"
            for one in self._redis.client_list()
            if int(one["id"]) != self._own and (one["name"] or one["cmd"] not in BEFORE_THE_NAME)
        )

    def look(self) -> None:
        """Note what there is until `stop` is called."""
        while not self._over.wait(0.005):
            names = self.names()
            self.most |= Counter(names)
            self.most_at_once = max(self.most_at_once, len(names))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()


def use(cluster: Cluster) -> None:
    """Use all of the cluster at once: forced refreshes, Flower's pages, web's reports, inspections."""
    web, flower = cluster.nodes["web"].port, cluster.nodes["flower"].port  # type: ignore[attr-defined]

    def celery(*words: str) -> None:
        subprocess.run(
            ["celery", "-A", "tasks", *words], cwd=ROOT, env=cluster.env, check=True, capture_output=True
        )

    def refresh() -> None:
        for _ in range(2):
            celery("call", "refresh_prices", "--kwargs", '{"force": true}')

    def look_at_flower() -> None:
        for page in PAGES * 3:
            assert get(flower, page, user=FLOWER_USER).status == 200, page

    def look_at_web() -> None:
        for _ in range(40):
            for path in ("/readyz", "/health", "/api/v1/prices"):
                assert get(web, path).status == 200, path

    uses: list[Callable[[], None]] = [
        refresh,
        look_at_flower,
        look_at_web,
        lambda: celery("inspect", "ping"),
    ]
    with ThreadPoolExecutor(len(uses)) as pool:
        for done in [pool.submit(one) for one in uses]:
            done.result()


def test_a_minimal_cluster_holds_at_most_twenty_connections_each_with_a_name(cluster: Cluster) -> None:
    runs = len(cluster.runs())
    with make_redis(cluster.redis.url, process="observer") as redis:
        cluster.services.redis.connection_pool.disconnect()
        observer = Observer(redis)
        looking = threading.Thread(target=observer.look)
        looking.start()
        try:
            use(cluster)
            cluster.wait_until(lambda: len(cluster.runs()) >= runs + 1, "a refresh was made", 30)
        finally:
            observer.stop()
            looking.join()
        cluster.wait_until(lambda: COMMAND not in str(observer.names()), "those who asked have gone")
        at_rest = observer.names()

    assert observer.most_at_once <= SMALLEST_PLAN, observer.most
    assert len(at_rest) <= 14, Counter(at_rest)
    allowed = {
        f"{CLIENT_NAME}:{process}:{purpose}": most
        for process, purposes in AT_MOST.items()
        for purpose, most in purposes.items()
    }
    ours = {name: most for name, most in observer.most.items() if not name.startswith(COMMAND)}
    assert ours.keys() <= allowed.keys()
    assert not {name: most for name, most in ours.items() if most > allowed[name]}
