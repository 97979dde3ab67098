"""What becomes of a run that fails: why, until when the others wait, and its row."""

from datetime import timedelta

from prices.coordination.retries import wait_after
from prices.coordination.runs import ABANDONED, fail_run
from prices.errors import PricesError, UpstreamError, in_full, one_line
from prices.runtime.logs import log
from prices.services import Services
from prices.store.database import utc_now, writing


def reason_of(error: BaseException) -> str:
    """Say why a run failed; one whose process was told to end has left its work to others."""
    if isinstance(error, UpstreamError) and error.retry_after:
        return f"{one_line(error)}; upstream asked to wait {error.retry_after:.0f} s"
    if isinstance(error, PricesError):
        return one_line(error)
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {one_line(error)}"
    return f"{ABANDONED}: its process was told to end ({type(error).__name__})"


def wait_of(services: Services, error: BaseException, failures: int) -> timedelta:
    """Give how long nobody is to try again after an error that so many `failures` in a row came before.

    A process that was told to end keeps nobody waiting.
    """
    if not isinstance(error, Exception):
        return timedelta(0)
    retry_after = error.retry_after if isinstance(error, UpstreamError) else 0.0
    return wait_after(failures, services.settings.retry_max, retry_after, services.jitter())


def close_failed(services: Services, run_id: int, reason: str, wait: timedelta) -> str | None:
    """Close a failed run's row; give when the next may begin (ISO 8601 UTC).

    None where another has closed it, or the database cannot be asked.
    """
    try:
        with writing(services.engine) as connection:
            now = utc_now(connection)
            closed = fail_run(connection, run_id, now, reason, wait)
    except PricesError as error:
        log.error("The failed run's row could not be closed", reason=in_full(error))
        return None
    return (now + wait).isoformat() if closed else None
