"""Many tests run at once: each has ports of its own, and units of work begin in a good order."""

import socket
import subprocess
import sys

import pytest

from local.ports import HOST, is_free
from prices.runtime.settings import ROOT
from tests.support import processes
from tests.support.ports import BLOCK, FIRST, LAST, free_port
from tests.support.side_by_side import in_order, unit_of

TAKE_SOME = "from tests.support.ports import free_port; print(*(free_port() for _ in range(200))); input()"


@pytest.mark.process
def test_no_port_is_given_twice_whichever_process_asks() -> None:
    command = [sys.executable, "-c", TAKE_SOME]
    pipe = subprocess.PIPE
    others = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    given = [free_port() for _ in range(200)]
    for other in others:
        assert other.stdout is not None
        given += map(int, other.stdout.readline().split())
    for other in others:
        other.communicate()
    assert len(set(given)) == len(given) == 600


def test_a_port_is_free_and_not_one_that_the_system_gives_away() -> None:
    port = free_port()
    assert is_free(port)
    assert FIRST < port < LAST
    with socket.create_server((HOST, 0)) as system:
        assert system.getsockname()[1] >= LAST


def test_the_block_of_a_process_is_taken_while_it_lives() -> None:
    taken = free_port()
    first = taken - (taken - FIRST) % BLOCK
    with socket.socket() as probe, pytest.raises(OSError, match="in use"):
        probe.bind((HOST, first))


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/prices/pricing/test_cost.py::test_a[sqlite]", "tests/prices/pricing/test_cost.py"),
        (
            "tests/system/cluster/test_x.py::test_a[postgres-killed]",
            "tests/system/cluster/test_x.py postgres",
        ),
        (
            "tests/system/cluster/test_x.py::test_on_postgresql[sqlite]",
            "tests/system/cluster/test_x.py sqlite",
        ),
        ("tests/system/cluster/test_x.py::test_a", "tests/system/cluster/test_x.py sqlite"),
        (
            "tests/system/simulation/test_seeds.py::test_a[3]",
            "tests/system/simulation/test_seeds.py::test_a[3]",
        ),
    ],
)
def test_a_unit_is_what_shares_fixtures(test: str, unit: str) -> None:
    assert unit_of(test) == unit


def test_what_waits_and_what_computes_is_begun_in_turn_and_the_longest_first() -> None:
    tests = [
        "tests/system/cluster/test_a.py::test_one",
        "tests/system/cluster/test_every_stage.py::test_one",
        "tests/system/cluster/test_a.py::test_two",
        "tests/prices/test_b.py::test_one",
        "tests/prices/test_c.py::test_one",
        "tests/prices/test_d.py::test_one",
        "tests/prices/test_b.py::test_two",
    ]
    assert in_order(tests, str) == [
        "tests/system/cluster/test_every_stage.py::test_one",
        "tests/prices/test_b.py::test_one",
        "tests/prices/test_b.py::test_two",
        "tests/system/cluster/test_a.py::test_one",
        "tests/system/cluster/test_a.py::test_two",
        "tests/prices/test_c.py::test_one",
        "tests/prices/test_d.py::test_one",
    ]


def test_a_test_without_the_mark_can_start_no_process() -> None:
    with pytest.raises(AssertionError, match="give it the mark `process`"):
        subprocess.run(["true"], check=True)
    with processes.shared():
        subprocess.run(["true"], check=True)
