"""The processes of one run: starting them, showing what they say, noticing an end, ending them."""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from local.console import Console
from local.guardian import Guardian
from local.process_groups import end_groups
from local.stop import StopRequest

_GRACE = 25.0
"""Seconds, a little less than a platform grants between TERM and KILL (30)."""
_LONGEST_LINE = 65536


class Stopped(Exception):  # noqa: N818 - no error: someone asked for it
    """The run is to end because someone asked for it."""


class ServiceEnded(Exception):  # noqa: N818 - named after what happened
    """A service ended by itself; the message says which and how."""


@dataclass(eq=False)
class Service:
    """One running line of the Procfile; its process leads a group of the same number."""

    name: str
    process: Popen[bytes]
    output: int
    unfinished: bytes = field(default=b"", repr=False)


def how_it_ended(status: int) -> str:
    """Say with which status, or (below zero) by which signal, a process ended."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


class Supervisor:
    """Looks after services in one thread; everything that waits does so in `pump`."""

    def __init__(self, console: Console, guardian: Guardian, stop: StopRequest, folder: Path) -> None:
        self._console = console
        self._guardian = guardian
        self._stop = stop
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._services: list[Service] = []
        self._watched: list[tuple[str, Popen[bytes]]] = []
        self._last_output = time.monotonic()

    @property
    def quiet_for(self) -> float:
        """Seconds since a service last said something."""
        return time.monotonic() - self._last_output

    def start(self, name: str, command: str, env: Mapping[str, str]) -> Service:
        """Start a shell command in the project's folder."""
        output, theirs = os.pipe()
        process = self._guardian.spawn(["/bin/sh", "-c", command], output=theirs, cwd=self._folder, env=env)
        os.close(theirs)
        os.set_blocking(output, False)
        service = Service(name, process, output)
        self._selector.register(output, selectors.EVENT_READ, service)
        self._services.append(service)
        return service

    def watch(self, name: str, process: Popen[bytes]) -> None:
        """Notice the end of a process that someone else started and ends."""
        self._watched.append((name, process))

    def run(self, name: str, command: str, env: Mapping[str, str]) -> int:
        """Start a shell command and return its status when it has ended; raises Stopped."""
        service = self.start(name, command, env)
        while (status := service.process.poll()) is None:
            self._pump_unless_stopped()
        self.end([service])
        return status

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; raises Stopped, or ServiceEnded if one ends before that."""
        while not condition():
            self._pump_unless_stopped()
            services = [(service.name, service.process) for service in self._services]
            for name, process in [*self._watched, *services]:
                if (status := process.poll()) is not None:
                    raise ServiceEnded(f"{name} {how_it_ended(status)}")

    def end(self, services: Iterable[Service] | None = None) -> None:
        """End all services, or these, with everything they started."""
        ending = list(self._services if services is None else services)
        end_groups(
            (service.process.pid for service in ending),
            grace=_GRACE,
            wait=self._wait_for_end,
            at_once=lambda: self._stop.at_once,
        )
        for service in ending:
            self._close(service)

    def _pump_unless_stopped(self) -> None:
        self._pump(0.2)
        if self._stop.asked:
            raise Stopped

    def _pump(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if not self._read(key.data):
                self._selector.unregister(key.fd)
        self._console.flush()

    def _wait_for_end(self, seconds: float) -> None:
        self._pump(seconds)
        for service in self._services:
            service.process.poll()

    def _read(self, service: Service) -> bool:
        """Show what the service has written; return False when there will be no more."""
        try:
            data = os.read(service.output, _LONGEST_LINE)
        except BlockingIOError:
            return True
        *lines, service.unfinished = (service.unfinished + data).split(b"\n")
        if service.unfinished and (not data or len(service.unfinished) > _LONGEST_LINE):
            lines.append(service.unfinished)
            service.unfinished = b""
        if lines:
            self._last_output = time.monotonic()
        for line in lines:
            self._console.line(service.name, line.rstrip(b"\r"))
        return bool(data)

    def _close(self, service: Service) -> None:
        if service.output in self._selector.get_map():
            self._read(service)  # a pipe holds no more than one read takes
            if service.unfinished:
                self._console.line(service.name, service.unfinished)
            self._selector.unregister(service.output)
        service.process.poll()
        self._guardian.forget(service.process.pid)
        os.close(service.output)
        self._services.remove(service)
