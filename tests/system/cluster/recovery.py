"""What has to come of a refresh whose holder was lost or stood still, and how long that takes."""

import time
from collections.abc import Callable

from tests.system.cluster.gates import Holder
from tests.system.cluster.halting import HaltingCluster
from tests.system.cluster.stored import assert_consistent, schedules_ever

LONGEST_SECONDS = 30.0


def seconds_to_recovery(halting: HaltingCluster, *acts: tuple[float, Callable[[], None]]) -> float:
    """Do each act when its seconds have come; give how long it took until all was done and published."""
    began, left, took = time.monotonic(), list(acts), None

    def is_over() -> bool:
        nonlocal took
        if left and time.monotonic() - began >= left[0][0]:
            left.pop(0)[1]()
        if took is None and len(left) < len(acts) and is_recovered(halting):
            took = time.monotonic() - began
        return took is not None and not left

    halting.cluster.wait_until(is_over, "the refresh is done and published", LONGEST_SECONDS)
    assert took is not None
    return took


def is_recovered(halting: HaltingCluster) -> bool:
    """Whether the next revision is committed, by whomever, and published."""
    last = halting.cluster.last_run()
    return (
        last["outcome"] == "refreshed"
        and last["revision"] == halting.revision + 1
        and halting.cluster.published_is_current()
    )


def assert_done_once(halting: HaltingCluster, holder: Holder, *, by_holder: bool) -> None:
    """Assert that the refresh was done once, whoever did it, and that no other attempt left a trace."""
    services, again = halting.cluster.services, holder.stage.name == "fetching"
    *lost, done = halting.new_runs()
    assert (done["outcome"], done["revision"], done["changes"]) == ("refreshed", halting.revision + 1, 1)
    if by_holder:
        assert (lost, done["run_id"]) == ([], holder.run_id)
    else:
        first, *heirs = lost
        assert (first["run_id"], first["outcome"]) == (holder.run_id, "failed")
        assert first["reason"].startswith("abandoned: ")
        # An heir that was kept waiting for longer than its own lease gives up, and tries again.
        assert all(run["reason"].startswith("claim lost: it was not renewed") for run in heirs)
    seen = halting.cluster.standin.requests()
    assert (seen["received"], seen["completed"]) == (2 if again else 1, 1)
    ever = " ".join(schedules_ever(services, halting.slug))
    assert [f'"{price}"' in ever for price in halting.prices] == ([False, True] if again else [True, False])
    assert_consistent(services)
