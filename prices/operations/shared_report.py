"""The report of many web instances: one at a time asks the stores, the others read from Redis what it found.

So the load of probes does not grow with the instances. Only good news of the database is shared: an instance
that is refused speaks for itself, and where nobody could use it for a while, each sees for itself, seldom.
One late answer may only mean that this machine is busy, so it makes no instance unhealthy.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from prices.errors import RedisUnavailableError
from prices.operations.health import DEGRADED, FULL, OK, PARTS, SLOW, HealthReporter
from prices.runtime.redis_client import Keys, redis_errors
from prices.services import Services

TURN_SECONDS: Final = 2.0
"""How often one instance of all asks."""
KEPT_SECONDS: Final = 10.0
"""How long what it found is told when nobody finds anything newer; how long late answers mean `slow`."""
POLL_SECONDS: Final = 0.05
POLLS: Final = 20
"""How often an instance that knows nothing yet looks whether another has found something."""
ALONE_SECONDS: Final = (5.0, 10.0)
"""How often an instance asks by itself; by chance within these, so that many do not ask at once."""
AGAIN_SECONDS: Final = (1.0, 3.0)
"""How often one asks by itself that was refused."""


class SharedReporter:
    """One instance's view of the cluster's report."""

    def __init__(
        self, reporter: HealthReporter, services: Services, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reporter = reporter
        self._redis = services.redis
        self._keys, self._deployment = Keys(services.settings.key_prefix), services.deployment
        self._clock = clock
        self._own: dict[str, Any] | None = None
        self._late_since: float | None = None
        self._asks_from = 0.0

    def report(self) -> dict[str, Any]:
        """Give the report, as `HealthReporter.report` makes it; takes about two seconds at most."""
        try:
            is_our_turn, found = self._look() if self._own else self._look_patiently()
        except RedisUnavailableError:
            is_our_turn, found = _knows_redis(self._own), None
        if found is not None and not is_our_turn and not _is_in_trouble(self._own):
            return found
        if self._own is None or is_our_turn or self._clock() >= self._asks_from:
            self._own = self._ask()
        if found is not None and _proves_nothing(self._own):
            return found
        return self._patient(self._own)

    def _patient(self, own: dict[str, Any]) -> dict[str, Any]:
        """Call a database slow, and the service degraded, until all its answers were late for long enough."""
        if self._late_since is None or self._clock() - self._late_since >= KEPT_SECONDS:
            return own
        return own | {"status": DEGRADED, "database": own["database"] | {"status": SLOW}}

    def _ask(self) -> dict[str, Any]:
        began = self._clock()
        own = self._reporter.report()
        if not own["database"].get("late"):
            self._late_since = None
        elif self._late_since is None:
            self._late_since = began
        seldom = AGAIN_SECONDS if _is_in_trouble(own) else ALONE_SECONDS
        self._asks_from = self._clock() + random.uniform(*seldom)
        if own["database"]["status"] == OK:
            with suppress(RedisUnavailableError), redis_errors():
                self._redis.set(
                    self._keys.report(self._deployment.scope),
                    msgspec.json.encode(own),
                    px=round(KEPT_SECONDS * 1000),
                )
        return own

    def _look_patiently(self) -> tuple[bool, dict[str, Any] | None]:
        """Look until another, who has the turn, has found something; no longer than that can take."""
        for _poll in range(POLLS):
            is_our_turn, found = self._look()
            if is_our_turn or found is not None:
                return is_our_turn, found
            time.sleep(POLL_SECONDS)
        return False, None

    def _look(self) -> tuple[bool, dict[str, Any] | None]:
        """Take the turn if nobody has it, and read what the others have found, in one round trip."""
        turn, report = (
            self._keys.report_turn(self._deployment.scope),
            self._keys.report(self._deployment.scope),
        )
        with redis_errors(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(turn, b"", nx=True, px=round(TURN_SECONDS * 1000))
            pipeline.get(report)
            pipeline.pttl(report)
            is_our_turn, packed, left_ms = pipeline.execute()
        return bool(is_our_turn), _unpacked(packed, left_ms)


def _knows_redis(report: dict[str, Any] | None) -> bool:
    """Whether a report is from when Redis was there: one that can no longer be told."""
    return report is not None and report["redis"]["status"] == OK


def _proves_nothing(report: dict[str, Any]) -> bool:
    """Whether the database was slow to answer or full, when another may have used it all the same."""
    database = report["database"]
    return database["status"] == FULL or bool(database.get("late"))


def _is_in_trouble(report: dict[str, Any] | None) -> bool:
    return report is not None and report["database"]["status"] != OK and not _proves_nothing(report)


def _unpacked(packed: bytes | None, left_ms: int) -> dict[str, Any] | None:
    """Read what another has shared, its prices as old as they are by now; None where it is no report."""
    if packed is None or left_ms < 0:
        return None
    try:
        report = msgspec.json.decode(packed, type=dict[str, Any])
        if not all(isinstance(report[part]["status"], str) for part in PARTS):
            return None
        if (age := report["prices"]["age_seconds"]) is not None:
            report["prices"]["age_seconds"] = age + max(0.0, KEPT_SECONDS - left_ms / 1000)
    except (msgspec.MsgspecError, LookupError, TypeError):
        return None
    return report
