"""Puts a process's clock wrong by CLOCK_SKEW seconds, for everything in it that is written in Python.

Python itself loads this before anything else where PYTHONPATH names this folder:
https://docs.python.org/3/library/site.html. Databases and Redis have clocks of their own, which stay right.
"""

import ctypes
import gc
import os
import time
from datetime import datetime, timedelta, tzinfo


def put_clock_wrong(seconds: int) -> None:
    """Shift `time.time` and `datetime.now`, for whoever imports them from now on and has before."""
    right_time, right_time_ns, right_now = time.time, time.time_ns, datetime.now
    shift = timedelta(seconds=seconds)

    def now(_cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        return right_now(tz) + shift

    time.time = lambda: right_time() + seconds
    time.time_ns = lambda: right_time_ns() + seconds * 10**9
    # The class itself is changed: a subclass in its place would not be known to extensions.
    methods = gc.get_referents(datetime.__dict__)[0]
    methods["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


put_clock_wrong(int(os.environ["CLOCK_SKEW"]))
