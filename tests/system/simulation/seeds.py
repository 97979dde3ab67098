"""What a seed stands for, and the command that replays one.

python -m tests.system.simulation.seeds SEED                 replay one seed, with everything that happened
python -m tests.system.simulation.seeds FIRST LAST [--json]  run many, and tell of those that broke something
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import structlog

from prices.runtime.redis_client import LOCK_KEY, PAYLOAD_KEY
from tests.system.simulation.cluster import Cluster, sim_settings
from tests.system.simulation.database import KEYS
from tests.system.simulation.expectations import (
    expect_all_well,
    expect_another_try,
    expect_no_dead_run,
    expect_no_idleness,
    is_well,
)
from tests.system.simulation.outage import live_through_an_outage
from tests.system.simulation.process import Odds, Process
from tests.system.simulation.world import World

TROUBLED, STEP = 300.0, 30.0
"""Seconds of misfortune, and of a step of the calm after it, in which everything must come right."""
CALM_STEPS, MORE_STEPS = 20, 20
"""How many there are, and how many more where the database's clock was set: prices of a time ahead count as
fresh for up to two windows."""
OUTAGES = 100
"""Each world of so many is one in which upstream is away for an hour."""
REFRESH, LEASE, TTL = timedelta(seconds=300), timedelta(seconds=60), timedelta(seconds=150)
RETRY_MAX = timedelta(seconds=60)
"""Shorter than in production, as all of it is, so that much is tried while there is misfortune."""


@dataclass(frozen=True)
class Broken:
    """A seed in which something happened that never may."""

    seed: int
    what: str
    trace: list[str]

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.what}\nreplay: python -m tests.system.simulation.seeds {self.seed}"


def run_seed(seed: int) -> Broken | None:
    """Live through the world of a seed."""
    _quiet()
    world = World(seed)
    try:
        if seed % OUTAGES == OUTAGES - 1:
            live_through_an_outage(world)
        else:
            _live(world)
    except Exception as error:  # noqa: BLE001 - whatever a process of the cluster raises ends its world
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return Broken(seed, f"{kind}{error}", world.trace)
    finally:
        world.end()
    return None


@cache
def _quiet() -> None:
    """Keep the house's log silent."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), cache_logger_on_first_use=True
    )


def _live(world: World) -> None:
    draw = world.random
    size = draw.random()
    workers = draw.randint(2, 6) if size < 0.95 else draw.randint(7, 60) if size < 0.9995 else 1000
    settings = sim_settings(REFRESH, LEASE, TTL, RETRY_MAX)
    cluster = Cluster(
        world, settings, workers=workers, beats=draw.choice((1, 1, 2, 2, 3)), apart=draw.random() < 0.2
    )
    cluster.expect_another_try = expect_another_try
    likely = [draw.choice((0.0, 0.002, 0.01, 0.04)) for _ in range(4)]
    hung = draw.choice((0.0, 0.0, 0.01))
    world.odds = Odds(
        *likely, hung=hung, slow=draw.choice((0.0, 0.05, 0.3)), lost=draw.choice((0.0, 0.0, 0.2))
    )
    _disturb(cluster, workers)
    world.run(world.now + TROUBLED)
    _calm_down(cluster)
    _expect_calm(cluster)


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
            if not cluster.apart:
                cluster.queue.lose()

    def database_away() -> None:
        cluster.database.down_until = world.now + draw.choice((3.0, 50.0, 150.0))

    def upstream_away() -> None:
        cluster.upstream_down_until = world.now + draw.choice((3.0, 50.0, 150.0))

    def broker_away() -> None:
        cluster.broker_down_until = world.now + draw.choice((3.0, 50.0, 150.0))

    def evict() -> None:
        key = draw.choice((LOCK_KEY, PAYLOAD_KEY, KEYS.fresh))
        world.note(f"{key} is evicted")
        server.evict(key.encode())

    acts = (burst, redis_away, database_away, upstream_away, broker_away, evict, cluster.clock.move)
    for act in draw.choices(acts, (5, 1, 1, 1, 1, 2, 2), k=draw.randint(1, 6)):
        world.spawn(fate, act, draw.random() * TROUBLED)


def _calm_down(cluster: Cluster) -> None:
    """End all misfortune; where the broker stands apart, Redis may stay away: the database decides alone.

    The database's clock is set right, or stays wrong: it is the one that all share.
    """
    cluster.world.note("calm")
    cluster.world.odds = Odds()
    cluster.database.down_until = cluster.upstream_down_until = cluster.broker_down_until = 0.0
    stays_away = cluster.apart and cluster.world.random.random() < 0.3
    cluster.server.down_until = float("inf") if stays_away else 0.0
    if cluster.clock.was_set and cluster.world.random.random() < 0.5:
        cluster.clock.set(0.0)


def _expect_calm(cluster: Cluster) -> None:
    """Let everything come right. Most worlds end when it has; some go on, to see that it stays so."""
    world = cluster.world
    began, to_the_end = world.now, world.random.random() < 0.1
    for _step in range(CALM_STEPS + MORE_STEPS * cluster.clock.was_set):
        expect_no_dead_run(cluster, began)
        expect_no_idleness(cluster, began)
        if not to_the_end and is_well(cluster, began):
            break
        world.run(world.now + STEP)
    expect_all_well(cluster)


def main(words: Sequence[str]) -> int:
    """Replay one seed or run many; give the exit status."""
    parser = argparse.ArgumentParser(description="Replay a seed of the simulation, or run many.")
    parser.add_argument("first", type=int, metavar="SEED")
    parser.add_argument(
        "last", type=int, nargs="?", help="run the seeds from SEED up to, not including, this"
    )
    parser.add_argument("--json", action="store_true", help="tell of the broken seeds as JSON")
    asked = parser.parse_args(words)
    seeds = range(asked.first, asked.first + 1 if asked.last is None else asked.last)
    found = [broken for seed in seeds if (broken := run_seed(seed))]
    if asked.json:
        print(json.dumps([[broken.seed, broken.what] for broken in found]))
    elif asked.last is None:
        print("\n".join(found[0].trace) if found else "nothing broke", *found, sep="\n")
    else:
        print(*found[:5], f"{len(found)} of {len(seeds)} seeds broke something", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
