"""A pool whose connections are open for seconds only, because a database allows few of them."""

import queue
import threading
import time
from typing import Any, Final

from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.pool import ConnectionPoolEntry

OPENED: Final = "pricebeat_opened"
BRIEF: Final = "pricebeat_brief"
"""In a connection's `info`: it is closed when it comes back."""


class BriefPool(QueuePool):
    """Closes a connection `recycle` seconds after it was opened: at once if it is idle, else when it is back.

    So a process that has nothing to ask holds none, one that asks all the time opens one every few seconds,
    and each makes way in turn for others.
    """

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        age = time.monotonic() - record.info.get(OPENED, 0.0)
        if age >= self._recycle or record.info.pop(BRIEF, False):
            record.close()  # the entry stays, and connects anew for whoever takes it next
        super()._do_return_conn(record)

    def close_old(self) -> None:
        """Close the idle connections that are old enough."""
        for _entry in range(self.checkedin()):
            try:
                record = self._pool.get(False)
            except queue.Empty:
                return
            self._do_return_conn(record)


def close_when_old(engine: Engine) -> None:
    """Let the connections of an engine that has a BriefPool be closed when their time is up."""

    def opened(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[OPENED] = time.monotonic()
        pool = engine.pool
        if isinstance(pool, BriefPool):
            closing = threading.Timer(pool._recycle, pool.close_old)  # noqa: SLF001 - our own class
            closing.daemon = True
            closing.start()

    event.listen(engine, "connect", opened)
