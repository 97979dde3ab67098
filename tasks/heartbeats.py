"""Workers say that they live: from Celery's own heartbeat, so a worker that is stuck falls silent."""

from typing import Any

from celery.signals import heartbeat_sent, worker_ready, worker_shutdown

from prices.coordination.heartbeats import Heart
from prices.errors import PricesError, in_full
from prices.runtime.background import Question
from prices.runtime.logs import log
from prices.services import Services


class WorkerHeart:
    """The heart of a worker's main process, which no store may hold up."""

    def __init__(self, services: Services, name: str) -> None:
        self._services = services.looking_in()
        self._heart = Heart(services.redis, services.deployment, "worker", name, services.clock)
        self._beating = Question(self._beat)

    def beat(self) -> None:
        """Say in the background that the worker lives, if it is time to."""
        if self._heart.is_due:
            self._beating.asked()

    def stop(self) -> None:
        """Say that the worker has ended in order."""
        if self._services.deployment.known():
            self._heart.stop()
        self._services.close()

    def _beat(self) -> None:
        try:
            self._heart.beat()
        except PricesError as error:
            log.debug("The worker's heartbeat could not be written", reason=in_full(error))


_hearts: dict[str, WorkerHeart] = {}


@worker_ready.connect
def begin(sender: Any, **_rest: Any) -> None:
    """Give the worker a heart once it takes tasks."""
    services = Services.make(process="worker", purpose="heartbeat")
    _hearts["worker"] = WorkerHeart(services, str(sender.hostname))
    go_on()


@heartbeat_sent.connect
def go_on(**_rest: Any) -> None:
    """Say that the worker lives."""
    if heart := _hearts.get("worker"):
        heart.beat()


@worker_shutdown.connect
def end(**_rest: Any) -> None:
    """Say that the worker has ended in order."""
    try:
        if heart := _hearts.pop("worker", None):
            heart.stop()
    except PricesError as error:
        log.debug("The worker's end could not be written", reason=in_full(error))
