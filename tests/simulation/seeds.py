"""What a seed stands for, and the command that replays one.

python -m tests.simulation.seeds SEED          replay one seed, with everything that happened
python -m tests.simulation.seeds FIRST LAST    run many, and count those that broke something
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from prices.redis_client import FRESH_KEY, LOCK_KEY, PAYLOAD_KEY
from tests.simulation.cluster import LOOK_SECONDS, BrokenInvariantError, Cluster, sim_settings
from tests.simulation.world import Odds, Process, World

INTERVAL, LEASE = 300.0, 60.0
TROUBLED, CALM = 300.0, 600.0
"""Seconds of misfortune, and then of none, in which everything must come right."""


@dataclass(frozen=True)
class Broken:
    """A seed in which something happened that never may."""

    seed: int
    what: str
    trace: list[str]

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.what}\nreplay: python -m tests.simulation.seeds {self.seed}"


def run_seed(seed: int) -> Broken | None:
    """Live through the world of a seed."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), cache_logger_on_first_use=True
    )
    world = World(seed)
    draw = world.random
    size = draw.random()
    workers = draw.randint(2, 6) if size < 0.95 else draw.randint(7, 60) if size < 0.998 else 1000
    cluster = Cluster(world, workers, draw.randint(1, 3), sim_settings(INTERVAL, LEASE))
    try:
        world.odds = Odds(*(draw.choice((0.0, 0.002, 0.01, 0.04)) for _ in range(4)))
        _disturb(cluster, workers)
        began = world.now
        world.run(began + TROUBLED)
        _calm_down(cluster)
        world.run(began + TROUBLED + 330)
        cluster.expect_no_dead_run()
        world.run(began + TROUBLED + CALM)
        _expect_all_well(cluster)
    except BrokenInvariantError as broken:
        return Broken(seed, str(broken), world.trace)
    finally:
        cluster.close()
    return None


def _disturb(cluster: Cluster, workers: int) -> None:
    """Plan what happens from outside: bursts of messages, stores that go away, keys that vanish."""
    world, draw = cluster.world, cluster.world.random
    fate = Process("fate")
    server = cluster.server

    def burst() -> None:
        for _ in range(workers if workers > 60 else draw.randint(2, 20)):
            cluster.queue.send(force=draw.random() < 0.02)

    def redis_away() -> None:
        server.down_until = world.now + draw.choice((3.0, 50.0, 150.0))
        if draw.random() < 0.5:
            world.note("redis goes away and comes back empty")
            server.wipe()

    def database_away() -> None:
        world.database_down_until = world.now + draw.choice((3.0, 50.0, 150.0))

    def evict() -> None:
        key = draw.choice((LOCK_KEY, PAYLOAD_KEY, FRESH_KEY))
        world.note(f"{key} is evicted")
        server.evict(key.encode())

    for act in draw.choices((burst, redis_away, database_away, evict), (5, 1, 1, 2), k=draw.randint(1, 6)):
        world.spawn(fate, act, draw.random() * TROUBLED)


def _calm_down(cluster: Cluster) -> None:
    cluster.world.note("calm")
    cluster.world.odds = Odds()
    cluster.server.down_until = 0.0
    cluster.world.database_down_until = 0.0


def _expect_all_well(cluster: Cluster) -> None:
    """Everything has come right: prices are refreshed when due, the queue is empty, the snapshot is whole."""
    world = cluster.world
    age = float("inf") if cluster.refreshed_at is None else world.now - cluster.refreshed_at
    if age > cluster.interval + 2 * LOOK_SECONDS + 3 * LEASE:
        cluster._broken(f"the prices are {age:.0f} s old in calm")
    if len(cluster.queue) > 2:
        cluster._broken(f"{len(cluster.queue)} messages are left over")
    published = cluster.server.data.get(b"cluster:price_snapshot:1", {})
    settled = age > 2 * LOOK_SECONDS
    if settled and abs(int(published.get(b"refreshed_us", 0)) / 1e6 - (cluster.refreshed_at or 0)) > 0.001:
        cluster._broken("the published snapshot is not the committed catalogue")


def main(words: Iterable[str]) -> int:
    """Replay one seed or run many; give the exit status."""
    numbers = [int(word) for word in words]
    if len(numbers) == 1:
        broken = run_seed(numbers[0])
        print("\n".join(broken.trace) if broken else "nothing broke")
        print(broken or "")
        return 1 if broken else 0
    found = [broken for seed in range(*numbers) if (broken := run_seed(seed))]
    for broken in found[:5]:
        print(broken)
    print(f"{len(found)} of {numbers[1] - numbers[0]} seeds broke something")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
