import os
from pathlib import Path

import pytest

from local.errors import LocalError
from local.procfile import read_procfile, without_shell


def test_a_procfile_names_commands_and_the_rest_is_comment(tmp_path: Path) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text("# two doors\nweb: serve --port ${PORT:-8000}\n\nworker:work\n")
    assert read_procfile(procfile) == {"web": "serve --port ${PORT:-8000}", "worker": "work"}


def test_a_procfile_that_is_missing_or_empty_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"cannot read .*Procfile: No such file"):
        read_procfile(tmp_path / "Procfile")
    (tmp_path / "Procfile").touch()
    with pytest.raises(LocalError, match="names no process"):
        read_procfile(tmp_path / "Procfile")


@pytest.mark.parametrize(
    ("command", "started"),
    [
        ("sleep 1", "exec sleep 1"),
        ("A=b C=${D:-3} sleep ${E:-1} 'x y'", "A=b C=${D:-3} exec sleep ${E:-1} 'x y'"),
        ("sleep 1 && sleep 2", "sleep 1 && sleep 2"),
        ("A='b c' sleep 1", "A='b c' sleep 1"),
        ("exec sleep 1", "exec sleep 1"),
        ("not-a-program 1", "not-a-program 1"),
        ("sleep ${A:-$(nproc --all)} 2", "exec sleep ${A:-$(nproc --all)} 2"),
        ("sleep 1 $(cat x; cat y)", "sleep 1 $(cat x; cat y)"),
        ("sleep 1 > file", "sleep 1 > file"),
    ],
)
def test_one_simple_command_takes_the_place_of_its_shell(command: str, started: str) -> None:
    assert without_shell(command, path=os.defpath) == started
