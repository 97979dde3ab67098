"""Asking after process groups and ending them; every service leads a group of its own.

A zombie counts as ended: in a container whose process 1 never reaps, it would otherwise live for ever.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_AFTER_KILL = 5.0


def is_running(pid: int) -> bool:
    """Tell whether the process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = _stat(pid)
    return stat is None or stat[0] != "Z"


def group_is_running(group: int) -> bool:
    """Tell whether any process of the group exists and is not a zombie."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS: PermissionError when only zombies are left
        return False
    if not (_PROC / "self" / "stat").exists():
        return True
    stats = (_stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return any(stat is not None and stat[1] == group and stat[0] != "Z" for stat in stats)


def end_groups(
    groups: Iterable[int],
    *,
    grace: float,
    wait: Callable[[float], None] = time.sleep,
    at_once: Callable[[], bool] = lambda: False,
) -> None:
    """Send TERM, wait up to `grace` seconds, then send KILL; return when the groups are gone.

    TERM goes to the leader, because a Celery worker ends its own children in order and counts a task as
    lost when they are ended for it. Where the leader leaves others behind (a shell does), they get theirs.
    `wait` is called with seconds while waiting; `at_once` returning True cuts the grace short.
    """
    left = set(groups)
    told: set[int] = set()
    for group in left:
        _send(os.kill, group, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while left := {group for group in left if group_is_running(group)}:
        now = time.monotonic()
        if now > deadline + _AFTER_KILL:
            return  # not even KILL ends it: it hangs in the kernel
        for group in left:
            if at_once() or now > deadline:
                deadline = min(deadline, now)
                _send(os.killpg, group, signal.SIGKILL)
            elif group not in told and not is_running(group):
                told.add(group)
                _send(os.killpg, group, signal.SIGTERM)
        wait(0.05)


def _send(kill: Callable[[int, int], None], target: int, signal_number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        kill(target, signal_number)


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state letter and process group of a process on Linux, elsewhere or for none: None."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[2])
