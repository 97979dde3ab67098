"""Files of one's own: private ones, and the lock that lets one cluster run in a folder."""

import fcntl
import os
import time
from pathlib import Path

from local.errors import LocalError
from local.process_groups import is_running

_TAKEOVER_SECONDS = 15.0


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read; readers see the old text or the new, never a part."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def make_private(folder: Path) -> None:
    """Make the folder if need be, and keep other users out of it and of everything in it.

    Raises LocalError with the reason where it cannot be written.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LocalError(
            f"cannot write to {folder}, where the data goes ({error.strerror}). "
            "Run it in a copy of this folder that you may write to."
        ) from error


def take_lock(path: Path) -> int:
    """Take the folder's lock and return its file descriptor; closing it gives the lock back.

    Where a run was killed, its guardian holds the lock until the last process is ended: wait for that.
    Raises LocalError if a run is alive.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _TAKEOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode()
            if (holder and is_running(int(holder))) or time.monotonic() > deadline:
                os.close(lock)
                raise LocalError(
                    f"already running in this folder (process {holder or 'unknown'}). "
                    "End it with Ctrl-C there first."
                ) from None
            time.sleep(0.1)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock
