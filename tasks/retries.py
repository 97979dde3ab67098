"""When a failed refresh is tried again: the one place where retries are decided."""

import random
from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 600.0
"""Well below the broker's visibility timeout: a longer countdown would be delivered twice."""
MAX_RETRIES: Final = 8
"""About half an hour in all; then the next beat takes over."""


def countdown(retries: int, retry_after: float, jitter: Callable[[], float] = random.random) -> float:
    """Say how many seconds to wait after `retries` retries failed.

    Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015), never sooner than
    upstream asked with Retry-After, never later than ten minutes.
    """
    wait = jitter() * min(LONGEST_SECONDS, FIRST_SECONDS * float(2**retries))
    return min(LONGEST_SECONDS, max(wait, retry_after))
