"""A worker's consumer that drops what is no task, before Celery's own begins with it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from celery.utils.log import get_logger
from celery.worker import consumer

from tasks.dead_letters import bury
from tasks.messages import MOST_BODY_BYTES, fault_in_task

_log = get_logger(__name__)
_SURPRISES: Final = (TypeError, ValueError, AttributeError, LookupError, OverflowError, RecursionError)
"""What Celery raises over a message that has passed the checks and that it cannot use all the same."""


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery ships no types
    """Celery's consumer, as `worker_consumer` names it: what it cannot use becomes a dead letter."""

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Check each message before Celery's own handler sees it."""
        handle = super().create_task_handler(*arguments, **options)

        def on_task_received(message: Any) -> None:
            if fault := _fault_in(message):
                self._drop(message, fault)
                return
            try:
                handle(message)
            except _SURPRISES as error:
                if message.acknowledged:
                    raise
                self._drop(message, f"Celery cannot use it ({type(error).__name__})")

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop what kombu could not unpack."""
        self._drop(message, f"it cannot be unpacked ({type(exc).__name__})")

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """Drop what Celery itself finds invalid."""
        self._drop(message, f"Celery cannot use it ({type(exc).__name__})")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a task that is not registered as a dead letter too; Celery tells who waits for its result."""
        self._bury(message, f"no task has its name, {message.headers['task']}")
        super().on_unknown_task(body, message, exc)

    def _drop(self, message: Any, fault: str) -> None:
        self._bury(message, fault)
        message.reject_log_error(_log, self.connection_errors)

    def _bury(self, message: Any, fault: str) -> None:
        text = json.dumps({"headers": message.headers, "body": message.body}, default=_as_text)
        bury(text.encode(), queue=str((message.delivery_info or {}).get("routing_key")), fault=fault)


def _fault_in(message: Any) -> str | None:
    if len(message.body or b"") > MOST_BODY_BYTES:
        return f"its body has {len(message.body)} bytes, more than {MOST_BODY_BYTES}"
    try:
        payload = message.decode()
    except Exception as error:  # noqa: BLE001 - whatever decoders raise
        return f"its body cannot be decoded ({type(error).__name__})"
    return fault_in_task(message.headers, payload, datetime.now(UTC))


def _as_text(value: Any) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else repr(value)
