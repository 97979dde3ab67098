"""Redis as the broker: kombu's driver with few connections, each with a name, and mends of its failures.

In kombu each channel keeps connections of its own for its commands; here all channels of a process share a
few (`max_connections` of the transport options). Only who waits for messages has a connection for that: of a
queue, or of a fanout (remote control, events).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from queue import Empty
from typing import Any, Final, NoReturn

from kombu import compression
from kombu import transport as transports
from kombu.exceptions import DecodeError
from kombu.transport import redis
from redis import BlockingConnectionPool, ConnectionPool, Redis

from prices.errors import one_line
from prices.runtime.logs import log
from prices.runtime.redis_client import CLIENT_NAME
from tasks.dead_letters import bury
from tasks.messages import fault_in_bytes, fault_in_fanout

WAIT_SECONDS: Final = 5.0
"""How long a thread waits for one of the connections for commands."""

_command_pools: Final[dict[str, BlockingConnectionPool]] = {}


_SURPRISES: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What kombu raises over a message that has passed the checks and that it cannot read all the same."""


@contextmanager
def _dropping() -> Iterator[None]:
    """Drop a message that kombu cannot read instead of ending the process over it."""
    try:
        yield
    except _SURPRISES as error:
        log.error("Dropped a message that cannot be used", reason=f"kombu cannot read it: {one_line(error)}")


class _Checked:
    """A client of Redis to which a message that kombu would fail over is as none."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[misc]
        if command_name == "BRPOP" and reply and (fault := fault_in_bytes(reply[1])):
            bury(reply[1], queue=reply[0].decode(errors="replace"), fault=fault)
            return None
        return reply


class _Client(_Checked, Redis):
    pass


class _PrefixedClient(_Checked, redis.PrefixedStrictRedis):
    pass


class Channel(redis.Channel):
    """A channel whose commands go over the process's connections."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.__dict__["client"]  # it has served a PING; a channel that never consumes needs no other

    def _create_client(self, asynchronous: bool = False) -> Any:
        return super()._create_client(asynchronous and self._registered)

    def _connparams(self, asynchronous: bool = False) -> Any:
        """Name the connections, and say where the connection to the broker was lost.

        kombu 5.7 may use a channel once more whose connection it has dropped: to put back what was not
        acknowledged, when the loss was first seen on the channel of remote control, or to acknowledge a task
        that was at work meanwhile. That raises AttributeError, for Celery an "Unrecoverable error".
        """
        if getattr(self.connection, "client", None) is None:
            raise ConnectionError("the connection to the broker was lost")
        purpose = "messages" if asynchronous else "commands"
        return {
            **super()._connparams(asynchronous),
            "client_name": f"{self.client_name}:{purpose}" if self.client_name else None,
        }

    def _get_pool(self, asynchronous: bool = False) -> Any:
        options = self._connparams(asynchronous)
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=options["db"])
        if asynchronous:
            return ConnectionPool(**options | {"max_connections": 2})
        same = repr(sorted(options.items()))
        if same not in _command_pools:
            _command_pools[same] = BlockingConnectionPool(**options, timeout=WAIT_SECONDS)
        return _command_pools[same]

    def _get_client(self) -> Any:
        if self.global_keyprefix:
            return partial(_PrefixedClient, global_keyprefix=self.global_keyprefix)
        return _Client

    def _brpop_read(self, **options: Any) -> Any:
        with _dropping():
            return super()._brpop_read(**options)
        raise Empty

    def _receive_one(self, client: Any) -> Any:
        with _dropping():
            return super()._receive_one(client)

    def _deliver_fanout_message(self, message: Any, exchange: str) -> Any:
        if fault := fault_in_fanout(message):
            log.error("Dropped a message that cannot be used", reason=fault, exchange=exchange)
            return False
        return super()._deliver_fanout_message(message, exchange)

    def after_reply_message_received(self, queue: str) -> None:
        """Close the connection that waited for replies: each inspection would leave another behind."""
        super().after_reply_message_received(queue)
        connection = getattr(self.__dict__.get("client"), "connection", None)
        if connection is not None and not self.active_queues:
            connection.disconnect()

    def _disconnect_pools(self) -> None:
        """Close this channel's own connections; others use those for commands."""
        self._pool = None
        super()._disconnect_pools()


class Transport(redis.Transport):
    """The driver of `redis://` and `rediss://` addresses."""

    Channel = Channel


def be_the_driver() -> None:
    """Let every connection to a Redis broker that this process makes use this driver."""
    for scheme in ("redis", "rediss"):
        transports.TRANSPORT_ALIASES[scheme] = "tasks.broker:Transport"


def refuse_compressed() -> None:
    """Let no body of any broker be unpacked: nothing that we send is compressed, and a bomb fills memory."""
    for kind in compression.encoders():
        compression.register(compression.get_encoder(kind)[0], _refuse, kind)


def _refuse(_body: bytes) -> NoReturn:
    raise DecodeError("it is compressed")


def close_commands() -> None:
    """Close the connections for commands that nobody uses now; the next command opens one again."""
    for pool in _command_pools.values():
        pool.disconnect(inuse_connections=False)


def name_connections(app: Any, process: str, *, commands: int) -> None:
    """Name what an application connects to Redis from now on, as `CLIENT LIST` shows it.

    `commands` is how many connections for commands to the broker the process may have.
    """
    name = f"{CLIENT_NAME}:{process}"
    options = {"client_name": name, "max_connections": commands}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **options}
    app.conf.redis_client_name = f"{name}:results"
