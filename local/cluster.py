"""One run of the cluster, from the first check to the last process's end."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from subprocess import Popen
from typing import IO

from local.console import Console
from local.errors import LocalError
from local.files import make_private, take_lock, write_private
from local.guardian import Guardian
from local.ping import web_answers
from local.plans import Plan
from local.ports import answers, require_free
from local.procfile import read_procfile, without_shell
from local.redis_server import RedisServer, find_redis_server
from local.stop import StopRequest
from local.supervisor import ServiceEnded, Stopped, Supervisor, how_it_ended
from local.welcome import addresses, url_of

_PORT_VARIABLES = {"web": "PORT", "flower": "FLOWER_PORT"}
_QUIET = 2.0
"""Seconds without output after which the start is over, and the address is shown again below all that."""
_HEAD_START = 2.5
"""Seconds that web may have to itself."""


def run(plan: Plan, console: Console, stop: StopRequest) -> int:
    """Run the cluster until it is asked to end; return the exit status.

    Raises LocalError before anything is started when it cannot run here, and after ending everything
    when the release step fails.
    """
    commands = read_procfile(plan.folder / "Procfile")
    os.umask(0o077)  # whatever a process of the cluster writes is its owner's alone
    make_private(plan.folder / "var")
    make_private(plan.state)
    redis_url_file = plan.state / "redis.url"
    with ExitStack() as stack:
        lock = take_lock(plan.state / "run.lock")
        stack.callback(os.close, lock)
        _require_free_ports(plan, commands)
        own_redis = not plan.env.get("REDIS_URL")
        if own_redis:
            find_redis_server()
        guardian = Guardian(lock=lock, leftovers=[redis_url_file] if own_redis else [])
        stack.callback(guardian.close)
        supervisor = Supervisor(console, guardian, stop, plan.folder)
        if own_redis:
            redis, process = stack.enter_context(_redis(plan, guardian))
            supervisor.watch("redis", process)
            plan = replace(plan, env={**plan.env, "REDIS_URL": redis.url})
            write_private(redis_url_file, redis.url)
            stack.callback(redis_url_file.unlink, missing_ok=True)
        stack.callback(supervisor.end)
        try:
            _start(plan, commands, supervisor)
            supervisor.wait_until(lambda: "web" not in commands or web_answers(plan.ports["web"]))
            console.say(addresses(plan))
            supervisor.wait_until(lambda: supervisor.quiet_for > _QUIET)
            console.say(f"Pricebeat is up: {url_of(plan, 'web')}/ (Ctrl-C ends all of it)")
            supervisor.wait_until(lambda: False)
        except ServiceEnded as event:
            console.say(f"{event}; ending the others.")
            return 1
        except Stopped:
            console.say("Ending; Ctrl-C again ends everything at once.")
    return 0


@contextmanager
def _redis(plan: Plan, guardian: Guardian) -> Iterator[tuple[RedisServer, Popen[bytes]]]:
    processes: list[Popen[bytes]] = []

    def spawn(command: Sequence[str], log: IO[bytes]) -> Popen[bytes]:
        processes.append(guardian.spawn(command, output=log, last=True))
        return processes[-1]

    server = RedisServer(plan.state / "redis", spawn=spawn)
    try:
        yield server.start(), processes[-1]
    finally:
        server.stop()
        for process in processes:
            guardian.forget(process.pid)


def _require_free_ports(plan: Plan, commands: Mapping[str, str]) -> None:
    taken: dict[int, str] = {}
    for name, variable in _PORT_VARIABLES.items():
        if name in commands:
            port = plan.ports[name]
            if port in taken:
                raise LocalError(f"port {port} is meant for {taken[port]} and for {name}: change {variable}.")
            require_free(
                port,
                purpose=name,
                hint=f"make {plan.verb} {variable}={port + 1 if port < 65535 else port - 1}",
            )
            taken[port] = name


def _start(plan: Plan, commands: Mapping[str, str], supervisor: Supervisor) -> None:
    """Start everything in order: what upstream is here, the release step, the services.

    Web comes up first, for a moment alone: five interpreters at once are slow on a small machine.
    """
    if helper := plan.helper:
        supervisor.start(helper.name, f"exec {helper.command}", plan.env)
        supervisor.wait_until(lambda: answers(helper.port))
    if "release" in commands:
        status = supervisor.run("release", commands["release"], plan.env_of("release"))
        if status:
            raise LocalError(f"the release step {how_it_ended(status)}; no service was started.", status=1)
    for name, command in commands.items():
        if name != "release":
            supervisor.start(name, without_shell(command, path=plan.env["PATH"]), plan.env_of(name))
        if name == "web":
            _give_head_start(plan.ports["web"], supervisor)


def _give_head_start(port: int, supervisor: Supervisor) -> None:
    until = time.monotonic() + _HEAD_START
    supervisor.wait_until(lambda: answers(port) or time.monotonic() > until)
