"""What is done to the holder of a refresh, and what comes of it: killed, told to end, stopped for a while."""

import re
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from prices.coordination.lease import Lease, make_token
from prices.runtime.redis_client import LOCK_KEY
from tests.system.cluster.gates import Holder
from tests.system.cluster.halting import HaltingCluster
from tests.system.cluster.recovery import seconds_to_recovery
from tests.system.cluster.stored import Stored, assert_consistent


class Outcome(NamedTuple):
    """How long it took until the refresh was done and published, who did it, and what happened."""

    seconds: float
    by_holder: bool
    happens: str


def kill_process(halting: HaltingCluster, holder: Holder) -> Outcome:
    kill = partial(holder.send, signal.SIGKILL, to_whole_worker=False)
    return as_ever(holder, seconds_to_recovery(halting, (0, kill)))


def kill_worker(halting: HaltingCluster, holder: Holder) -> Outcome:
    return as_ever(holder, seconds_to_recovery(halting, (0, partial(halting.replace, holder.worker))))


def end_worker(halting: HaltingCluster, holder: Holder) -> Outcome:
    """As a platform does. When KILL comes the worker has stopped waiting and may be handing its task over."""
    tell, kill = partial(holder.worker.kill, "SIGTERM"), partial(halting.replace, holder.worker)
    return as_ever(holder, seconds_to_recovery(halting, (0, tell), (2, kill)))


def stop_process(halting: HaltingCluster, holder: Holder) -> Outcome:
    if halting.engine == "sqlite" and holder.stage.name == "committing":
        return stop_with_the_file_locked(halting, holder)
    return stop(halting, holder, whole=False)


def stop_worker(halting: HaltingCluster, holder: Holder) -> Outcome:
    return stop(halting, holder, whole=True)


def as_ever(holder: Holder, seconds: float) -> Outcome:
    return Outcome(seconds, holder.stage.committed, holder.stage.happens)


def stop(halting: HaltingCluster, holder: Holder, *, whole: bool) -> Outcome:
    """Stop the holder until all is done and another has the lock; it leaves no trace when it goes on."""
    services = halting.cluster.services
    seconds = seconds_to_recovery(halting, (0, partial(holder.send, signal.SIGSTOP, to_whole_worker=whole)))
    halting.wait_for_free_claim()
    other = Lease(services.redis, LOCK_KEY, make_token("another"), lease=timedelta(minutes=1))
    assert other.take() is None
    before, runs = Stored.read(services), halting.new_runs()
    holder.send(signal.SIGCONT, to_whole_worker=whole)
    halting.go_on(holder)
    assert Stored.read(services) == before
    assert halting.new_runs() == runs
    assert_consistent(services)
    assert other.release()
    if holder.stage.committed:
        return as_ever(holder, seconds)
    if holder.stage.name == "committing":
        why, comes_of_it = "IdleInTransactionSessionTimeout", "the server has ended its transaction"
    else:
        why, comes_of_it = "claim lost: ", "when it goes on its claim is lost"
    said = rf"Price update failed .*{why}.* run_id={holder.run_id} "
    assert re.search(said, holder.worker.logs()), holder.worker.logs()[-2000:]
    return Outcome(seconds, by_holder=False, happens=f"{holder.stage.happens}; {comes_of_it}")


def stop_with_the_file_locked(halting: HaltingCluster, holder: Holder) -> Outcome:
    """On SQLite who stands still in its commit has the file's lock: others fail, say why, and try again."""
    holder.send(signal.SIGSTOP, to_whole_worker=False)
    halting.wait_for_any_log("RefreshFailedError('the database failed (SQLITE_BUSY)")
    assert [run["state"] for run in halting.new_runs()] == ["running"]
    assert halting.cluster.standin.requests()["received"] == 1
    holder.send(signal.SIGCONT, to_whole_worker=False)
    seconds = seconds_to_recovery(halting, (0, partial(halting.gates.open, holder.stage.name)))
    happens = "others fail with SQLITE_BUSY and try again; it finishes once it goes on"
    return Outcome(seconds, by_holder=True, happens=happens)


FAULTS: dict[str, tuple[str, Callable[[HaltingCluster, Holder], Outcome]]] = {
    "process killed": ("The process of a refresh is killed", kill_process),
    "worker killed": ("The worker of a refresh is killed, parent and children", kill_worker),
    "worker ended": ("The worker of a refresh is told to end, and killed two seconds later", end_worker),
    "process stopped": ("The process of a refresh stands still beyond its lease", stop_process),
    "worker stopped": ("The worker of a refresh stands still beyond its lease", stop_worker),
}
