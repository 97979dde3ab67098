"""How the tests are divided among pytest-xdist's workers: `make test` runs two for each core.

Most tests that take long wait for processes, and most others compute. So both kinds are taken in turn: what
computes fills the time in which others wait, and few processes start at the same moment.
"""

from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

T = TypeVar("T")

WAITING: Final = ("tests/system/cluster/", "tests/system/browser/", "tests/local/", "tests/tasks/")
LONGEST: Final = ("tests/system/cluster/test_every_stage.py", "tests/system/cluster/test_many_beats.py")
"""What the others would have to wait for at the end, if it began late."""


def unit_of(test: str) -> str:
    """Name the unit of a test, given its node id; one worker does the whole of a unit, in order.

    That is its file, whose tests share fixtures; of a cluster's tests, those on one database engine; and of
    the simulation, a single test, because it shares nothing.
    """
    file, _, name = test.partition("::")
    if file.startswith("tests/system/simulation/"):
        return test
    if file.startswith("tests/system/cluster/"):
        return f"{file} {'postgres' if 'postgres' in name.partition('[')[2] else 'sqlite'}"
    return file


def in_order(tests: Iterable[T], node_id: Callable[[T], str]) -> list[T]:
    """Put tests in the order in which their units are begun."""
    units: dict[str, list[T]] = {}
    for test in tests:
        units.setdefault(unit_of(node_id(test)), []).append(test)
    names = sorted(units, key=lambda name: not name.startswith(LONGEST))  # else as they come
    waiting = [units[name] for name in names if name.startswith(WAITING)]
    computing = [units[name] for name in names if not name.startswith(WAITING)]
    return [*chain.from_iterable(chain.from_iterable(zip_longest(waiting, computing, fillvalue=())))]


class UnitScheduling(LoadScopeScheduling):
    """Gives the next unit to the worker that is about to have nothing left."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # the order is that of `in_order`
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
