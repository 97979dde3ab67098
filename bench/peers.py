"""The packages that this is measured beside; where one is missing, its rows are."""

import functools
import importlib
import logging
import sys
from types import ModuleType
from typing import Final

PACKAGES: Final = ("python-redis-lock", "pottery", "celery-singleton", "celery-once", "celery-redbeat")


@functools.cache
def peer(name: str) -> ModuleType | None:
    """Import a peer; None, and one line that says so, where it cannot be."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(f"{name} cannot be measured here, its rows are missing: {error}", file=sys.stderr)
        return None
    logging.getLogger(name).setLevel(logging.ERROR)  # a refusal is no news here
    return module
