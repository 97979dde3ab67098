"""Workers say that they live: from Celery's own heartbeat, so a worker that is stuck falls silent."""

from typing import Any

from celery.signals import heartbeat_sent, worker_ready, worker_shutdown

from prices.coordination.heartbeats import Heart
from prices.errors import RedisUnavailableError, in_full
from prices.runtime.clock import SystemClock
from prices.runtime.logs import log
from prices.runtime.redis_client import make_redis
from prices.runtime.settings import Settings

_hearts: dict[str, Heart] = {}


@worker_ready.connect
def begin(sender: Any, **_rest: Any) -> None:
    """Give the worker a heart once it takes tasks."""
    redis = make_redis(Settings.from_env().redis_url, process="worker", purpose="heartbeat")
    _hearts["worker"] = Heart(redis, "worker", str(sender.hostname), SystemClock())
    go_on()


@heartbeat_sent.connect
def go_on(**_rest: Any) -> None:
    """Say that the worker lives."""
    try:
        if heart := _hearts.get("worker"):
            heart.beat()
    except RedisUnavailableError as error:
        log.debug("The worker's heartbeat could not be written", reason=in_full(error))


@worker_shutdown.connect
def end(**_rest: Any) -> None:
    """Say that the worker has ended in order."""
    try:
        if heart := _hearts.pop("worker", None):
            heart.stop()
    except RedisUnavailableError as error:
        log.debug("The worker's end could not be written", reason=in_full(error))
