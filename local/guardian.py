"""No process is orphaned, even when the supervisor is killed with -9: a guardian outlives it.

The guardian is a process in a session of its own that reads a pipe. Each service writes its own process
group into that pipe before it becomes the service, so none can start unseen. When the pipe ends, which
the kernel sees to however the supervisor ended, the guardian ends what is left.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from local.process_groups import end_groups

_GRACE = 4.0
"""Seconds: nobody waits at a terminal any more, but the next `make run` may."""

# The write end comes as standard input, because dash redirects only single digits.
_REGISTER = 'echo "+ $$ $0" >&0; exec "$@" </dev/null'


class Guardian:
    """The supervisor's side: start the guardian, start processes under its eyes.

    `lock` is a file descriptor the guardian keeps open, so that the lock on it lasts until all is ended;
    `leftovers` are files it removes when it had to end things.
    """

    def __init__(self, *, lock: int | None = None, leftovers: Iterable[Path] = ()) -> None:
        reader, self._writer = os.pipe()  # neither end is inherited unless handed over
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.guardian", *(str(path.absolute()) for path in leftovers)],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).absolute().parent.parent)},
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
        )
        os.close(reader)

    def spawn(
        self,
        command: Sequence[str],
        *,
        last: bool = False,
        output: int | IO[bytes] = subprocess.DEVNULL,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that leads its own session; `last` ones are ended after the others."""
        return subprocess.Popen(
            ["/bin/sh", "-c", _REGISTER, "0" if last else "1", *command],
            stdin=self._writer,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )

    def forget(self, group: int) -> None:
        """Say that a group has ended: its number may soon be another's."""
        with suppress(BrokenPipeError):  # the guardian itself was killed
            os.write(self._writer, f"- {group} 0\n".encode())

    def close(self) -> None:
        """Let the guardian end what is left, and itself."""
        os.close(self._writer)
        self._process.wait()


def watch(pipe: Iterable[str]) -> dict[int, int]:
    """Read registrations until the pipe ends; return the groups that are left and the order of each."""
    groups: dict[int, int] = {}
    for line in pipe:
        verb, group, order = line.split()
        if verb == "+":
            groups[int(group)] = int(order)
        else:
            groups.pop(int(group), None)
    return groups


def main(leftovers: Sequence[str]) -> None:
    """Be the guardian."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = watch(sys.stdin)
    for order in sorted(set(groups.values()), reverse=True):
        end_groups((group for group in groups if groups[group] == order), grace=_GRACE)
    for leftover in leftovers:
        Path(leftover).unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1:])
