"""Our driver of Redis as the broker: few connections, each with a name, and losses that Celery survives."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection, Exchange, Producer, Queue
from kombu.pidbox import Mailbox
from redis import Redis

from prices.runtime.redis_client import make_redis
from tasks import broker
from tasks.broker import be_the_driver
from tests.system.cluster.nodes import wait_until

FANOUT = Exchange("news", type="fanout", durable=False)
COMMANDS = 2
MESSAGE, COMMAND = {"number": 1}, {"method": "ping", "arguments": {}}
OPTIONS = {"client_name": "pricebeat:test", "max_connections": COMMANDS, "socket_timeout": 5}


@pytest.fixture(autouse=True)
def driver() -> None:
    """Our driver, without connections of earlier tests."""
    be_the_driver()
    for pool in broker._command_pools.values():
        pool.disconnect()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with make_redis(redis_url) as redis:
        yield redis


@pytest.fixture
def connect(redis_url: str) -> Callable[[], Connection]:
    return lambda: Connection(redis_url, transport_options=OPTIONS)


def names(redis: Redis) -> list[str]:
    """The names of a test's connections to the broker."""
    clients = redis.client_list()
    return sorted(client["name"] for client in clients if client["name"].startswith("pricebeat:test"))


def test_however_many_channels_publish_they_share_the_connections_of_their_process(
    connect: Callable[[], Connection], redis: Redis
) -> None:
    with connect() as one, connect() as two:
        for channel in [connection.channel() for connection in (one, two) for _ in range(5)]:
            Producer(channel).publish({}, routing_key="messages", declare=[Queue("messages")])
        assert names(redis) == ["pricebeat:test:commands"]
    assert redis.llen("messages") == 10


def test_threads_that_publish_at_once_wait_for_one_of_a_few_connections(
    connect: Callable[[], Connection], redis: Redis
) -> None:
    def publish() -> None:
        with connect() as connection:
            for _ in range(20):
                connection.SimpleQueue("messages").put({})

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert redis.llen("messages") == 160
    assert names(redis) == ["pricebeat:test:commands"] * len(names(redis))
    assert 1 <= len(names(redis)) <= COMMANDS


def test_who_waits_for_a_queue_and_a_fanout_has_one_connection_for_each(
    connect: Callable[[], Connection], redis: Redis
) -> None:
    seen: list[Any] = []
    queues = [Queue("messages"), Queue("listener", FANOUT, auto_delete=True)]

    def note(body: Any, message: Any) -> None:
        seen.append(body)
        message.ack()

    with connect() as connection, connection.Consumer(queues, callbacks=[note]):
        Producer(connection.channel()).publish(MESSAGE, routing_key="messages")
        connection.drain_events(timeout=5)
        Producer(connection.channel(), exchange=FANOUT).publish(COMMAND)
        connection.drain_events(timeout=5)
        assert seen == [MESSAGE, COMMAND]
        assert names(redis) == ["pricebeat:test:commands", *["pricebeat:test:messages"] * 2]
    wait_until(lambda: names(redis) == ["pricebeat:test:commands"], "only one is left", within=5)


def test_who_has_read_the_replies_to_a_question_keeps_no_connection_for_them(
    connect: Callable[[], Connection], redis: Redis
) -> None:
    with connect() as connection:
        mailbox = Mailbox("control", type="fanout", connection=connection, accept=["json"])
        for _ in range(3):
            assert mailbox.multi_call("ping", timeout=0.1) == []
            wait_until(lambda: names(redis) == ["pricebeat:test:commands"], "only one is left", within=5)


def drop_client(channel: Any) -> None:
    channel.connection.client = None


def drop_connection(channel: Any) -> None:
    channel.connection = None


@pytest.mark.parametrize("lose", [drop_client, drop_connection])
def test_what_was_not_acknowledged_when_the_connection_was_lost_fails_as_a_lost_connection(
    lose: Callable[[Any], None], redis_url: str
) -> None:
    with Connection(redis_url) as connection, connection.SimpleQueue("messages") as queue:
        queue.put({"number": 1})
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


def test_a_connection_that_redis_closed_is_opened_anew(
    connect: Callable[[], Connection], redis: Redis
) -> None:
    with connect() as connection, connection.SimpleQueue("messages") as queue:
        queue.put({"number": 1})
        redis.client_kill_filter(skipme=True, _type="normal")
        queue.put({"number": 2})
        assert redis.llen("messages") == 2
