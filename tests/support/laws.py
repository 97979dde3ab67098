"""How often a law is tried on made-up examples."""

import os

QUICK = "QUICK_TESTS"
"""Set by `make quick`, which tries each law a quarter as often."""


def examples(number: int) -> int:
    """Give the number of examples for this run."""
    return max(10, number // 4) if os.environ.get(QUICK) else number
