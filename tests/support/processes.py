"""Which tests start processes of their own. `make quick` runs all others.

A test has the mark `process` if it lies in a folder of such tests, asks for a fixture that starts one, runs
on PostgreSQL, or says so itself. Every other test fails when it starts a process, so the quick ones stay
quick. They share what each worker starts once: a Redis, and a stand-in for OpenRouter.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

FOLDERS: Final = ("tests/system/browser/", "tests/system/cluster/", "tests/local/")
FIXTURES: Final = frozenset(
    {
        "address",
        "another_process",
        "cluster_url",
        "own_redis",
        "postgres_url",
        "run",
        "small_postgres_url",
        "wire",
    }
)
EVENTS: Final = frozenset({"os.fork", "os.posix_spawn", "os.system", "subprocess.Popen"})

_forbidden = False


def mark(item: pytest.Item) -> None:
    """Give a test the mark if it starts a process of its own."""
    fixtures = getattr(item, "fixturenames", ())
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if (
        item.nodeid.startswith(FOLDERS)
        or FIXTURES.intersection(fixtures)
        or any(isinstance(parameter, str) and parameter == "postgres" for parameter in parameters)
    ):
        item.add_marker("process")


@contextmanager
def checked(item: pytest.Item) -> Iterator[None]:
    """Refuse to start a process within the block, unless the test has the mark."""
    with _set(forbidden=item.get_closest_marker("process") is None):
        yield


@contextmanager
def shared() -> Iterator[None]:
    """Allow it for what all tests of a worker share."""
    with _set(forbidden=False):
        yield


@contextmanager
def _set(*, forbidden: bool) -> Iterator[None]:
    global _forbidden
    before, _forbidden = _forbidden, forbidden
    try:
        yield
    finally:
        _forbidden = before


def watch() -> None:
    """Look at every process that is started, for as long as this one lives."""
    sys.addaudithook(_refuse)


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if _forbidden and event in EVENTS:
        raise AssertionError("this test starts a process of its own: give it the mark `process`")
