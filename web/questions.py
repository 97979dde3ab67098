"""What only the database can answer, asked so that it cannot hold up what is served from memory."""

import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final, TypeVar

from sqlalchemy import Connection
from werkzeug.exceptions import ServiceUnavailable

from prices.errors import DatabaseFullError, DatabaseUnavailableError, SchemaBehindError, in_full
from prices.runtime.background import in_background
from prices.runtime.bounds import within
from prices.runtime.logs import log
from prices.store.database import reading
from prices.store.queries import require_schema
from web.context import web_context

T = TypeVar("T")

ANSWER_SECONDS: Final = 5.0
"""How long a request waits for the database."""
MOST_AT_ONCE: Final = 2
"""How many questions may be open: fewer than a process has threads, so that some are always free."""

_open = threading.BoundedSemaphore(MOST_AT_ONCE)


def ask(question: Callable[[Connection], T]) -> T:
    """Ask within one reading transaction, and wait a bounded time.

    A question that is given up ends by itself then, so that its place is free for the next. Raises
    ServiceUnavailable where too many ask, the answer takes too long, or the database cannot be asked.
    """
    engine = web_context().services.engine
    if not _open.acquire(timeout=ANSWER_SECONDS / 10):
        raise ServiceUnavailable("too many ask for the past at once", retry_after=1)

    def answer() -> T:
        with within(ANSWER_SECONDS), reading(engine) as connection:
            require_schema(connection)
            return question(connection)

    asked = in_background(answer)
    asked.add_done_callback(lambda _asked: _open.release())
    try:
        return asked.result(ANSWER_SECONDS)
    except DatabaseFullError:
        raise ServiceUnavailable(
            "the database allows no more questions at the moment", retry_after=1
        ) from None
    except (DatabaseUnavailableError, SchemaBehindError) as error:
        log.error("The past could not be asked", reason=in_full(error))
        raise ServiceUnavailable(
            "only the database knows this, and it cannot be asked at the moment", retry_after=5
        ) from error
    except FutureTimeoutError:
        raise ServiceUnavailable("the database did not answer in time", retry_after=5) from None
