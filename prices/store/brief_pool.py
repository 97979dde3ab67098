"""A pool whose connections are open for seconds only, because a database allows few of them."""

import math
import queue
import threading
import time
from typing import Any, Final, cast

from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.pool import ConnectionPoolEntry

UNTIL: Final = "pricebeat_until"
"""In a connection's `info`: until when it is kept, by this process's clock."""
BRIEF: Final = "pricebeat_brief"
"""In a connection's `info`: it is closed when it comes back."""
FIRST: Final = "pricebeat_first"
"""In a connection's `info`: the SQL with which each of its transactions begins."""


class BriefPool(QueuePool):
    """Closes a connection seconds after it was opened: at once if it is idle, else when it is back.

    So a process that has nothing to ask holds none, one that asks all the time opens one every few seconds,
    and each makes way in turn for others.
    """

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.info.pop(BRIEF, False) or time.monotonic() >= record.info.get(UNTIL, math.inf):
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


def keep_briefly(engine: Engine, seconds: float) -> None:
    """Let the connections of an engine that has a BriefPool be kept for so long."""

    def opened(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[UNTIL] = time.monotonic() + seconds
        closing = threading.Timer(seconds, cast("BriefPool", engine.pool).close_old)
        closing.daemon = True
        closing.start()

    event.listen(engine, "connect", opened)
