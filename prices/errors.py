"""The errors of the house: one base, a few kinds, each with one sentence fit to be shown.

The doors translate them once: to a problem body, to a failed task, to an exit status. What the driver
said, with hosts and ports, stays the cause: for logs and operators, not for bodies.
"""

import traceback


def one_line(error: BaseException) -> str:
    """Say what an error says, on one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def in_full(error: BaseException) -> str:
    """Say it with its cause, for those who may know hosts and ports."""
    cause = error.__cause__
    return one_line(error) if cause is None else f"{one_line(error)}: {one_line(cause)}"


def let_go_of_frames(error: BaseException | None) -> None:
    """Empty the frames that have ended and that an error, or what it came from, came through.

    A library that keeps an error in a cycle, as redis-py does with that of a refused connection, keeps the
    frames above it too, with all that a run holds, until the next full collection.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class PricesError(Exception):
    """Base of every error that the house raises on purpose; its text is one line without secrets."""


class SettingsError(PricesError):
    """A setting cannot be used; the text names the variable and what it should be."""


class PriceError(PricesError):
    """A text is no price; the text says which and why."""


class UsageError(PricesError):
    """What a call is said to have used cannot be; the text names the field and says why."""


class UpstreamError(PricesError):
    """OpenRouter could not be asked, or what it answered is no price list.

    `retry_after` is how many seconds it asked us to wait, 0 when it did not.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class DatabaseUnavailableError(PricesError):
    """The database did not answer, or not in time."""


class DatabaseFullError(DatabaseUnavailableError):
    """The database is well, but allows no more connections, or this process has all it may have in use."""


class SchemaBehindError(PricesError):
    """The database's tables are not those of this version: the release step has not run."""


class RedisUnavailableError(PricesError):
    """Redis did not answer, or not in time."""


class ClaimLostError(PricesError):
    """The run is no longer the one that may change prices."""


class OverloadedError(PricesError):
    """This process cannot do more at once: the system gives it no more threads."""
