"""Two workers, a spare and a beat, of which one can be halted at a stage of its refresh."""

import json
from decimal import Decimal
from itertools import count
from typing import Any

from celery import Celery

from local.standin.moves import plain
from prices.coordination.lease import read_holder
from prices.runtime.redis_client import LOCK_KEY
from prices.store import queries
from prices.store.database import reading
from tests.system.cluster.cluster import Cluster, send
from tests.system.cluster.gates import STAGES, Gates, Holder, Stage
from tests.system.cluster.nodes import WorkerNode
from tests.system.cluster.stored import first_slug, schedules_ever

NAMES = ("one", "two", "spare")
"""Two do the work; the third has time to start again after it was destroyed."""
# Short as the lease is: in production a worker waits 20 s for its tasks after TERM, and 10 s for what a
# process that was killed may have sent.
MORE = " --without-mingle -I tests.system.cluster.stages -- worker.soft_shutdown_timeout=1 worker.lost_wait=1"
HALF = {"gate": {"hold": True, "after_bytes": 5000}, "drip": 20_000}
"""Half of a list of sixty models; what comes after the gate comes slowly."""


class HaltingCluster:
    """Halts a refresh at a stage, and is made ready again after whatever was done to its holder."""

    def __init__(self, cluster: Cluster, gates: Gates, engine: str) -> None:
        self.cluster, self.gates, self.engine = cluster, gates, engine
        self._steps = count(1)
        self._lost_messages: set[bytes] = set()

    def start(self) -> None:
        """Start everything, and wait for the first prices."""
        self.start_workers()
        self.cluster.start_beat()
        self.cluster.wait_until_up()
        self.cluster.wait_until(
            lambda: self.cluster.runs() and self.cluster.last_run()["outcome"], "the first refresh", 30
        )
        self.slug = first_slug(self.cluster.services)
        self._price = Decimal(json.loads(schedules_ever(self.cluster.services, self.slug)[0])["prompt"])

    def start_workers(self) -> None:
        """Start a worker in the place of each that is gone."""
        for name in NAMES:
            if name not in self.cluster.nodes or self.cluster.nodes[name].process.status != "running":
                self.cluster.start_worker(name, MORE)

    # Before a fault

    def get_ready(self) -> None:
        """Wait until nothing is left of earlier faults and two workers are up; make the prices due."""
        for stage in STAGES:
            self.gates.open(stage)
        self.cluster.standin.clear()
        self.start_workers()
        if self._lost_messages:
            self.cluster.services.redis.hdel("unacked", *self._lost_messages)
            self._lost_messages.clear()
        self.cluster.wait_until(self._two_workers_are_up, "two workers are up", 60)
        self.cluster.wait_until(self._is_quiet, "nothing is left of earlier refreshes", 30)
        self.cluster.make_stale_under_beat()
        self.cluster.standin.forget()
        with reading(self.cluster.services.engine) as connection:
            self.revision = queries.catalogue_state(connection).revision
        self._known_runs = len(self.cluster.runs())

    def _two_workers_are_up(self) -> bool:
        workers = [node for node in self.cluster.nodes.values() if isinstance(node, WorkerNode)]
        return sum(worker.ready_prompt in worker.logs() for worker in workers) >= 2

    def _is_quiet(self) -> bool:
        return (
            not self.cluster.queued()
            and not self.messages_at_work()
            and self.lock_token() is None
            and all(run["state"] == "finished" for run in self.cluster.runs())
        )

    def messages_at_work(self) -> int:
        """How many messages workers have taken and not acknowledged."""
        return int(self.cluster.services.redis.hlen("unacked"))  # type: ignore[arg-type]  # not asynchronous

    def lock_token(self) -> str | None:
        """The token that the Redis lock has now."""
        holder = read_holder(self.cluster.services.redis, LOCK_KEY)
        return holder and holder.token

    def halt(self, app: Celery, stage: Stage) -> Holder:
        """Ask for a refresh and wait until it waits at the stage. Upstream has a price for each request."""
        self.prices = [plain(self._price * (1000 + next(self._steps)) / 1000) for _ in range(2)]
        first, second = ({"patch": {self.slug: {"pricing.prompt": price}}} for price in self.prices)
        is_upstreams = stage.name == "fetching"
        self.cluster.standin.answer({**first, "times": 1, **(HALF if is_upstreams else {})}, second)
        if not is_upstreams:
            self.gates.close(stage.name)
        send(app)
        if is_upstreams:
            self.cluster.standin.wait_for(held=1, timeout=20)
        else:
            self.cluster.wait_until(lambda: self.gates.is_waited_at(stage.name), stage.told, 20)
        run = self.cluster.last_run()
        worker = self.cluster.nodes[run["worker"].removeprefix("worker@")]
        assert isinstance(worker, WorkerNode)
        return Holder(stage, run["run_id"], self.gates.process_of(run["run_id"]), worker)

    # A fault

    def replace(self, worker: WorkerNode) -> None:
        """Kill what is left of a worker, and start another in its place."""
        worker.kill()
        self._lost_messages |= set(self.cluster.services.redis.hkeys("unacked"))  # type: ignore[arg-type]
        self.start_workers()

    def go_on(self, holder: Holder) -> None:
        """Let the holder go on and end."""
        self.gates.open(holder.stage.name)
        self.cluster.standin.release()
        self.cluster.wait_until(lambda: not self.messages_at_work(), "the holder has ended", 30)

    # After a fault

    def wait_for_free_claim(self) -> None:
        """Wait until nobody has the claim: a lost one runs out with its lease."""
        lease = self.cluster.services.settings.lock_lease.total_seconds()
        self.cluster.wait_until(lambda: self.lock_token() is None, "the claim has run out", 2 * lease)

    def wait_for_any_log(self, text: str) -> None:
        """Wait until a worker has written a text."""
        nodes = [self.cluster.nodes[name] for name in NAMES]
        self.cluster.wait_until(lambda: any(text in node.logs() for node in nodes), f"one says {text!r}", 30)

    def new_runs(self) -> list[dict[str, Any]]:
        """The runs since the prices were made due."""
        return self.cluster.runs()[self._known_runs :]
