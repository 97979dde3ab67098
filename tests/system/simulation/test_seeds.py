"""The cluster lives through thousands of worlds, each decided by its seed."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.system.simulation import seeds
from tests.system.simulation.seeds import Broken, run_seed
from tests.system.simulation.world import World

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "2000"))
"""`make worlds` lives through 10,000."""
PARTS = 5


def _run(part: int) -> list[Broken]:
    return [broken for seed in range(part, SEEDS, PARTS) if (broken := run_seed(seed))]


@pytest.fixture(scope="module")
def another_process() -> Iterator[Executor]:
    """A process in which nothing is traced or patched, so that many worlds take little time."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        yield process


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_in_no_world_does_anything_happen_that_never_may(part: int, another_process: Executor) -> None:
    broken = another_process.submit(_run, part).result()

    assert not broken, "\n".join(map(str, broken[:5]))


def test_a_seed_decides_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[World] = []
    monkeypatch.setattr(seeds, "World", lambda seed: worlds.append(World(seed)) or worlds[-1])

    run_seed(11)
    run_seed(12)
    run_seed(11)

    assert worlds[0].trace == worlds[2].trace != worlds[1].trace
    assert len(worlds[0].trace) > 5


def test_what_a_process_raises_breaks_its_seed_and_names_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_asked: object, **_named: object) -> None:
        raise KeyError("nobody expects this")

    monkeypatch.setattr("tests.system.simulation.cluster.refresh_prices", fail)

    broken = run_seed(1)

    assert "KeyError: 'nobody expects this'" in str(broken)
    assert "replay: python -m tests.system.simulation.seeds 1" in str(broken)
