"""A worker that loses its broker with a task at work: what the driver then raises, Celery survives."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection

from tasks.broker import be_careful


def drop_client(channel: Any) -> None:
    channel.connection.client = None


def drop_connection(channel: Any) -> None:
    channel.connection = None


@pytest.mark.parametrize("lose", [drop_client, drop_connection])
def test_what_was_not_acknowledged_when_the_connection_was_lost_fails_as_a_lost_connection(
    lose: Callable[[Any], None], redis_url: str
) -> None:
    be_careful()
    with Connection(redis_url) as connection, connection.SimpleQueue("messages") as queue:
        queue.put("one")
        message = queue.get(timeout=5)
        errors = connection.connection_errors
        channel = message.channel
        transport = channel.connection
        channel._disconnect_pools()
        lose(channel)
        with pytest.raises(errors, match="the connection to the broker was lost"):
            message.ack()
        channel.connection = transport
        transport.client = connection
        message.ack()
