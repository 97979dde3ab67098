"""The cluster lives through thousands of worlds, each decided by its seed."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.seeds import INTERVAL, LEASE, Broken, run_seed

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "600"))
CHUNK = 25


def _run(first: int) -> list[Broken]:
    return [broken for seed in range(first, first + CHUNK) if (broken := run_seed(seed))]


@pytest.mark.timeout(900)
def test_in_no_world_does_anything_happen_that_never_may() -> None:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        broken = [found for chunk in pool.map(_run, range(0, SEEDS, CHUNK)) for found in chunk]

    assert not broken, "\n".join(map(str, broken[:5]))


def test_a_seed_decides_everything() -> None:
    from tests.simulation.cluster import Cluster

    traces = []
    close = Cluster.close

    def closed(cluster: Cluster) -> None:
        traces.append(cluster.world.trace)
        close(cluster)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cluster, "close", closed)
        run_seed(11)
        run_seed(11)

    assert traces[0] == traces[1]
    assert len(traces[0]) > 5
    assert INTERVAL > LEASE
