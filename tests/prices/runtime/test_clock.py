"""The machine's clock, and what happens in its background."""

import threading
import time

import pytest

from prices.runtime.clock import SystemClock

QUICK = 0.01


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "periodically"]


def test_time_is_the_systems_and_goes_forward() -> None:
    clock = SystemClock()
    before, between, after = clock.monotonic(), time.monotonic(), clock.monotonic()
    assert before <= between <= after


def test_something_is_done_again_and_again_while_the_block_runs() -> None:
    done = threading.Semaphore(0)

    def act() -> bool:
        done.release()
        return True

    with SystemClock().periodically(QUICK, act):
        for _time in range(3):
            assert done.acquire(timeout=10)
    assert threads() == []


def test_nothing_is_done_before_the_first_span_is_over() -> None:
    with SystemClock().periodically(60, lambda: pytest.fail("too early")):
        pass
    assert threads() == []


def test_what_says_that_it_is_over_is_not_done_again() -> None:
    done: list[int] = []
    over = threading.Event()

    def act() -> bool:
        done.append(1)
        over.set()
        return False

    with SystemClock().periodically(QUICK, act):
        assert over.wait(10)
        for thread in threads():
            thread.join(10)
    assert done == [1]


def test_a_block_that_fails_ends_the_background_too() -> None:
    def fail() -> None:
        with SystemClock().periodically(QUICK, lambda: True):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert threads() == []


def test_what_hangs_in_the_background_does_not_hold_the_block_for_ever() -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> bool:
        hangs.set()
        return not go_on.wait(20)

    began = time.monotonic()
    with SystemClock().periodically(QUICK, hang):
        assert hangs.wait(10)
    took = time.monotonic() - began
    assert all(thread.daemon for thread in threads())
    go_on.set()
    assert took < 10
