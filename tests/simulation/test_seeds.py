"""The cluster lives through thousands of worlds, each decided by its seed."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation import seeds
from tests.simulation.seeds import Broken, run_seed
from tests.simulation.world import World

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "10000"))
CHUNK = 25


def _run(first: int) -> list[Broken]:
    return [broken for seed in range(first, first + CHUNK) if (broken := run_seed(seed))]


@pytest.mark.timeout(900)
def test_in_no_world_does_anything_happen_that_never_may() -> None:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        broken = [found for chunk in pool.map(_run, range(0, SEEDS, CHUNK)) for found in chunk]

    assert not broken, "\n".join(map(str, broken[:5]))


def test_a_seed_decides_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[World] = []

    def made(seed: int) -> World:
        worlds.append(World(seed))
        return worlds[-1]

    monkeypatch.setattr(seeds, "World", made)
    run_seed(11)
    run_seed(11)

    assert worlds[0].trace == worlds[1].trace
    assert len(worlds[0].trace) > 5
