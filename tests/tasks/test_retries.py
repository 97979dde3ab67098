"""When a failed refresh is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.retries import FIRST_SECONDS, LONGEST_SECONDS, MAX_RETRIES, countdown

RETRIES = st.integers(0, MAX_RETRIES)
JITTER = st.floats(0, 1, exclude_max=True)
ASKED = st.floats(0, 1e9)


def test_the_wait_doubles_until_it_is_as_long_as_it_may_be() -> None:
    assert [countdown(retries, 0.0, lambda: 1.0) for retries in range(MAX_RETRIES)] == [
        10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0,
    ]  # fmt: skip


def test_all_retries_together_end_before_the_next_beat() -> None:
    longest = sum(countdown(retries, 0.0, lambda: 1.0) for retries in range(MAX_RETRIES))
    assert longest < 3600  # the shortest period that full hours make


def test_the_wait_is_spread_over_the_whole_span() -> None:
    assert [countdown(2, 0.0, lambda share=share: share) for share in (0.0, 0.5, 1.0)] == [0.0, 20.0, 40.0]


def test_workers_that_failed_together_do_not_come_back_together() -> None:
    assert len({countdown(5, 0.0) for _worker in range(20)}) > 10


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 5.0), (77.0, 77.0), (86400.0, LONGEST_SECONDS)])
def test_upstreams_wish_is_met_within_what_the_broker_allows(asked: float, waited: float) -> None:
    assert countdown(0, asked, lambda: 0.5) == waited


@given(RETRIES, ASKED, JITTER)
def test_a_wait_has_its_bounds(retries: int, asked: float, jitter: float) -> None:
    wait = countdown(retries, asked, lambda: jitter)
    assert min(asked, LONGEST_SECONDS) <= wait <= LONGEST_SECONDS
    assert wait <= max(asked, FIRST_SECONDS * 2**retries)
