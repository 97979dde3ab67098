"""Worlds in which upstream is away for an hour of a day like any other, while everything else works."""

from datetime import timedelta
from random import Random

from prices.runtime.settings import Settings
from tests.system.simulation.cluster import LOOK_SECONDS, Cluster, sim_settings
from tests.system.simulation.process import Process
from tests.system.simulation.world import World

HOUR = 3600.0
MOST_FETCHES = 20
"""How often upstream may be asked in an hour: soon at first, and every five to ten minutes in the end."""
_fate = Process("fate")


def outage_settings() -> Settings:
    """The settings that the service has without any."""
    return sim_settings(timedelta(hours=3), timedelta(seconds=60), timedelta(seconds=1800))


def live_through_an_outage(world: World) -> None:
    """Let upstream be away for an hour, from when a refresh is due or earlier; then all must be well soon."""
    draw = world.random
    settings = outage_settings()
    cluster = Cluster(world, settings, workers=draw.randint(1, 4), beats=draw.randint(1, 2), apart=False)
    cluster.retry_after = draw.choice(((0.0,), (0.0, 20.0, 900.0), (2 * HOUR,)))
    if draw.random() < 0.5:
        _refresh_and_let_it_become_due(cluster)
    began, ends = world.now, world.now + HOUR
    cluster.upstream_down_until = ends
    cluster.fetches.clear()
    _send_bursts(cluster, draw)
    world.run(ends)
    fetches = len(cluster.fetches)
    if cluster.most_at_once > 1:
        cluster.watch.broken(f"upstream was asked by {cluster.most_at_once} at once")
    if not 0 < fetches <= MOST_FETCHES:
        cluster.watch.broken(f"upstream was asked {fetches} times in an hour")
    back = max(ends, cluster.watch.waits_until)
    longest = settings.retry_max.total_seconds()
    world.run(back + longest + LOOK_SECONDS)
    if (cluster.watch.refreshed_at or 0.0) < began:
        cluster.watch.broken(f"upstream is back for {longest:.0f} s and the prices are not fresh")
    if cluster.fetches[-1] < ends or len(cluster.fetches) != fetches + 1:
        cluster.watch.broken(f"upstream was asked {len(cluster.fetches) - fetches} times after it was back")


def _refresh_and_let_it_become_due(cluster: Cluster) -> None:
    """Let the cluster refresh once, and three hours pass in which nothing happens."""
    world = cluster.world
    world.run(world.now + 60)
    interval = cluster.settings.refresh_interval.total_seconds()
    world.run((cluster.watch.refreshed_at or world.now) + interval - 60 * world.random.random())


def _send_bursts(cluster: Cluster, draw: Random) -> None:
    """Plan messages that come at any time, many at once: none of them makes upstream be asked more often."""
    for _burst in range(draw.choice((0, 3))):
        cluster.world.spawn(
            _fate, lambda: [cluster.queue.send() for _ in range(20)] and None, draw.random() * HOUR
        )
