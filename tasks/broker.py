"""A mend of the broker's driver: a worker that loses Redis with a task at work goes on, and does not end.

kombu 5.7 may use a channel once more whose connection it has dropped: to put back what was not
acknowledged, when the loss was first seen on the channel of remote control, or to acknowledge a task
that was at work meanwhile. That raises AttributeError, for Celery an "Unrecoverable error".
"""

from typing import Any, Final

from kombu.transport import redis

_Channel: Final[Any] = redis.Channel
_connparams: Final = _Channel._connparams  # noqa: SLF001 - every use of a channel that lost its pool comes here


def be_careful() -> None:
    """Let channels to Redis that have lost their connection say so, by an error that Celery survives."""
    _Channel._connparams = _careful_connparams  # noqa: SLF001


def _careful_connparams(channel: Any, asynchronous: bool = False) -> Any:
    if getattr(channel.connection, "client", None) is None:
        raise ConnectionError("the connection to the broker was lost")
    return _connparams(channel, asynchronous)
