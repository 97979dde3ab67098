"""However many beats there are and however short they live, upstream is asked once in each period."""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

import pytest

from prices.coordination.freshness import FRESH_SHARE
from tests.system.cluster.conftest import OpenCluster
from tests.system.cluster.matrix import BEATS, FaultRow

LEASE = 2
INTERVAL = 8
LIFE = 4
"""How many seconds a beat of short life has: long enough to wait for the lead of the one before."""


@pytest.mark.parametrize("beats", [2, 5])
def test_beats_that_start_together_on_an_empty_catalogue_ask_upstream_once(
    beats: int, open_cluster: OpenCluster, record: Callable[[FaultRow], None]
) -> None:
    with open_cluster("sqlite", PRICE_LOCK_LEASE=str(LEASE)) as cluster:
        began = time.monotonic()
        nodes = [cluster.start_beat(f"beat-{number}") for number in range(beats)]
        cluster.start_worker("one")
        cluster.wait_until(
            lambda: [run for run in cluster.runs() if run["outcome"]], "a refresh has ended", 60
        )
        seconds = time.monotonic() - began
        cluster.wait_until_up()
        looked = time.monotonic() + 2 * LEASE
        cluster.wait_until(lambda: time.monotonic() > looked, "all beats have looked again and again")

        assert sum("Beat leads now" in node.logs() for node in nodes) == 1
        assert [run["outcome"] for run in cluster.runs()] == ["refreshed"]
        seen = cluster.standin.requests()
        assert (seen["received"], seen["completed"]) == (1, 1)
        happens = "one leads and sends, the others stand by"
        record(
            FaultRow(BEATS, f"{beats} beats start together", "sqlite", happens, seconds, seen["completed"])
        )


def test_beats_that_are_killed_every_few_seconds_refresh_once_in_each_period(
    open_cluster: OpenCluster, record: Callable[[FaultRow], None]
) -> None:
    hours = f"{INTERVAL / 3600:.9f}"
    with open_cluster("sqlite", PRICE_LOCK_LEASE=str(LEASE), PRICE_REFRESH_HOURS=hours) as cluster:
        cluster.start_worker("one")
        cluster.wait_until_up()
        began, away = time.monotonic(), [0.0]
        while time.monotonic() - began < 60:
            started = time.monotonic()
            beat = cluster.start_beat()
            cluster.wait_for_log(beat, beat.ready_prompt, 30)
            away.append(time.monotonic() - started)
            time.sleep(LIFE)
            beat.kill()
        ran = time.monotonic() - began
        cluster.wait_until(lambda: cluster.last_run()["outcome"], "the last run has ended")

        seen = cluster.standin.requests()
        asked = [datetime.fromisoformat(entry["time"]) for entry in seen["log"]]
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(asked)]
        # A beat begins to look when it is up and the dead one's lead has run out.
        longest = INTERVAL + max(away) + 2 * LEASE
        assert len(away) > 5
        assert len(asked) >= ran // longest
        assert min(gaps) >= FRESH_SHARE * INTERVAL
        assert max(gaps) <= longest
        assert {run["outcome"] for run in cluster.runs()} == {"refreshed"}
        assert len(cluster.runs()) == seen["completed"] == len(asked)
        happens = f"a refresh in each period of {INTERVAL} s, none between; late by at most"
        fault = "killed and started again every few seconds, for a minute"
        record(FaultRow(BEATS, fault, "sqlite", happens, max(gaps) - INTERVAL, seen["completed"]))
