"""Two beats, of which one leads: how long after its host dies until the other leads.

Each round kills the leader with SIGKILL at a random moment of its lease, and starts another to stand by.
celery-redbeat keeps its lock for 25 minutes by default; here it has our lease, and looks as often as ours.
"""

import random
import time
from contextlib import ExitStack
from typing import Final

from bench.peers import peer
from bench.processes import Site, Started, open_site, wait_until
from bench.rounds import Row, alternate

LEASE: Final = 3.0
"""Seconds. The default of 60 would take as many leases, and twenty times as long to measure."""


def measure() -> list[Row]:
    """Measure with beats of the product's schedule over a Redis of our own."""
    with open_site(PRICE_LOCK_LEASE=f"{LEASE:g}") as site, ExitStack() as ending:
        site.migrate()
        pairs = {"our beat": Pair(site, "tasks", "Beat leads now")}
        if peer("redbeat"):
            what = "celery-redbeat with our lease (its default: 25 minutes)"
            pairs[what] = Pair(site, "bench.redbeat", "beat: Acquired lock")
        for pair in pairs.values():
            ending.callback(pair.kill)
        measures = {what: pair.fail_over for what, pair in pairs.items()}
        return alternate("another beat leads", "leases", measures, rounds=5)


class Pair:
    """Two beats of an application, of which the first leads and says so."""

    def __init__(self, site: Site, app: str, leads: str) -> None:
        self._site, self._app, self._leads = site, app, leads
        self._leader = self._start()
        self._leader.wait_for(leads)
        self._standby = self._start()

    def _start(self) -> Started:
        beat = self._site.start("beat", app=self._app)
        beat.wait_for("beat: Starting...")
        return beat

    def fail_over(self) -> float:
        """Kill the leader, and give the leases until the other leads; then there are two again."""
        time.sleep(random.uniform(0, LEASE))
        if self._standby.has_said(self._leads):
            raise RuntimeError(f"two beats of {self._app} lead")
        self._leader.kill()
        seconds = wait_until(lambda: self._standby.has_said(self._leads))
        self._leader, self._standby = self._standby, self._start()
        return seconds / LEASE

    def kill(self) -> None:
        """End both."""
        self._leader.kill()
        self._standby.kill()
