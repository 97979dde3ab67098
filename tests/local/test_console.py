import os
from collections.abc import Iterator

import pytest

from local.console import Console


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_each_process_has_a_colour_of_its_own_on_a_terminal(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], colour=True)
    for name in ("web", "worker", "web"):
        console.line(name, b"hello")
    console.flush()
    first, second, third, _ = os.read(pipe[0], 1000).split(b"\n")
    assert first == third == b"\033[36mweb      |\033[0m hello"
    assert second == b"\033[33mworker   |\033[0m hello"


def test_lines_wait_for_a_slow_reader_and_the_lost_ones_are_counted(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], colour=False, backlog=200)
    for number in range(250):
        console.say(f"{number:<5000}")  # 200 of them are more than a pipe holds
    got = b""
    while not got.rstrip().endswith(b"199"):
        console.flush()
        got += os.read(pipe[0], 100_000)
    console.say("and on")
    console.flush()
    assert os.read(pipe[0], 1000) == b"... 50 lines are not shown: nobody read them in time\nand on\n"


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    console = Console(writer, colour=False)
    console.say("hello")
    console.flush()
    os.close(writer)
