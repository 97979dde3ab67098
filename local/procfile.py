"""Reading a Procfile: which processes there are, and the shell command of each."""

import re
import shutil
from pathlib import Path

from local.errors import LocalError

_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$")
_SIMPLE_COMMAND = re.compile(
    r"((?:[A-Za-z_]\w*=[^\s'\"`();&|<>]*\s+)*)([\w./-]+)((?:\s(?:[^`();&|<>]|\$\([\w\s-]*\))*)?)"
)


def read_procfile(path: Path) -> dict[str, str]:
    """Return the commands by process name, in the file's order; other lines are comments.

    Raises LocalError if there is none.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
    commands = {match[1]: match[2] for line in lines if (match := _LINE.match(line))}
    if not commands:
        raise LocalError(f"{path} names no process")
    return commands


def without_shell(command: str, *, path: str) -> str:
    """Let the program take the shell's place, where the command is one program on `path`.

    Signals then reach the program itself. With a shell in between, its whole group would have to be
    told, and a Celery worker whose children are ended for it counts their tasks as lost.
    """
    match = _SIMPLE_COMMAND.fullmatch(command.strip())
    if match and match[2] != "exec" and shutil.which(match[2], path=path):
        return f"{match[1]}exec {match[2]}{match[3]}"
    return command
