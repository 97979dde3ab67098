"""What each of the operator's commands does: prints what it found, gives the exit status."""

import argparse
import getpass
import logging
import os
import socket
import sys
from dataclasses import asdict
from typing import Any, Final

import click
import msgspec

from prices.operations import health
from prices.operations.lock import break_lock, show_lock
from prices.refresh.outcome import Refresh, RefreshFailedError
from prices.refresh.replay import captures_in, replay
from prices.refresh.story import refresh_prices
from prices.runtime.logs import configure_logs
from prices.services import Services

STATUS_CODES: Final = {health.HEALTHY: 0, health.DEGRADED: 1, health.UNHEALTHY: 2}
FAILED, HELD, UNUSABLE = 1, 3, 2


def status(services: Services, options: argparse.Namespace) -> int:
    """Print the health report."""
    report = health.HealthReporter(services).report()
    if options.json:
        _print_json(report)
    else:
        _print_report(report)
    return STATUS_CODES[report["status"]]


def _print_report(report: dict[str, Any]) -> None:
    prices, lock, run = report["prices"], report["redis"].get("lock"), report["prices"].get("last_run")
    print(f"status     {report['status']}")
    for part in ("database", "redis", "worker", "beat", "prices"):
        told = report[part]
        print(f"{part:<10} {told['status']}" + (f": {told['reason']}" if told.get("reason") else ""))
    print(f"workers    {', '.join(report['worker'].get('workers', {})) or 'none'}")
    print(f"leader     {report['beat'].get('leader') or 'none'}")
    print("lock       " + (f"{lock['holder']}, {lock['seconds_left']:.0f} s left" if lock else "free"))
    if run:
        print(
            f"last run   {run['started_at']} {run['outcome'] or run['state']} {run['reason'] or ''}".rstrip()
        )
    if prices.get("age_seconds") is not None:
        print(f"price age  {prices['age_seconds']:.0f} s, revision {prices['revision']}")
    if prices.get("next_run_reason"):
        print(f"next run   {prices['next_run'] or 'at once'}: {prices['next_run_reason']}")


def run_once(services: Services, options: argparse.Namespace) -> int:
    """Refresh the prices here and now, guarded like any other refresh."""
    configure_logs(services.settings.log_format, logging.WARNING)
    try:
        done = refresh_prices(
            services,
            worker=f"run-once@{socket.gethostname()}:{os.getpid()}",
            force=options.force or options.accept_held,
            accept_held=options.accept_held,
            progress=_Progress(),
        )
    except RefreshFailedError as error:
        done = error.refresh
    failed = done.outcome == "failed" or done.reason == "waiting"
    if options.json:
        _print_json(done.to_builtins())
    else:
        print(_sentence(done), file=sys.stderr if failed else sys.stdout)
    return FAILED if failed else HELD if done.reason == "held" else 0


def replay_folder(services: Services, options: argparse.Namespace) -> int:
    """Load history from a folder of dated bodies."""
    configure_logs(services.settings.log_format, logging.ERROR)
    captures = captures_in(options.folder)
    with click.progressbar(captures, label="replaying", file=sys.stderr) as bar:
        done = replay(
            services, bar, worker=f"replay@{socket.gethostname()}:{os.getpid()}", twice=options.twice
        )
    if options.json:
        _print_json(asdict(done))
    else:
        failed = f", {done.failed} were no price list" if done.failed else ""
        print(
            f"replayed {done.fed} bodies with {done.changes} changes, {done.known} were known{failed}; "
            f"revision {done.revision}"
        )
    return FAILED if done.failed else 0


def lock(services: Services, options: argparse.Namespace) -> int:
    """Show who holds the lock, or take it from one holder."""
    return {"show": lock_show, "break": lock_break}[options.action](services, options)


def lock_show(services: Services, options: argparse.Namespace) -> int:
    """Print who holds the lock, in Redis and by the database's word."""
    held = show_lock(services)
    if options.json:
        _print_json({"token": held.token, **asdict(held)})
        return 0
    if held.redis_trouble:
        print(f"redis     unknown: {held.redis_trouble}")
    elif held.redis_token:
        whose = " (of another deployment)" if held.redis_foreign else ""
        print(f"redis     {held.redis_token}, {held.redis_seconds_left:.0f} s left{whose}")
    else:
        print("redis     free")
    if held.run_id is None:
        print("database  no run")
    else:
        print(
            f"database  run {held.run_id} for {held.run_seconds:.0f} s, "
            f"heartbeat {held.heartbeat_seconds:.0f} s ago: {held.run_token}"
        )
    return 0


def lock_break(services: Services, options: argparse.Namespace) -> int:
    """Take the lock from the holder that is named."""
    configure_logs(services.settings.log_format, logging.WARNING)
    broken = break_lock(services, options.if_holder, by=f"{getpass.getuser()}@{socket.gethostname()}")
    if options.json:
        _print_json({"broken": broken})
    else:
        print("broken" if broken else "nothing was changed: that token holds no lock")
    return 0 if broken else HELD


class _Progress:
    """Shows each step on stderr: on a terminal on one line that moves, elsewhere a line a step."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, step: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{step} ...", end="\r", file=sys.stderr, flush=True)
        elif (name := step.partition(":")[0]) != self._shown:
            self._shown = name
            print(f"{name} ...", file=sys.stderr, flush=True)


def _sentence(done: Refresh) -> str:
    if done.outcome == "failed":
        then = f"; the next attempt may begin at {done.retry_at}" if done.retry_at else ""
        return f"failed: {done.reason}{then}"
    if done.reason == "waiting":
        return (
            f"not tried before {done.retry_at}, because the last refresh failed: {done.last_failure}"
            " (--force does not wait)"
        )
    if done.reason == "held":
        return f"skipped: {done.holder} is refreshing"
    if done.reason == "fresh":
        old = "of unknown age" if done.age_seconds is None else f"{done.age_seconds:.0f} s old"
        return f"skipped: the prices are fresh, {old} (--force refreshes all the same)"
    held = f", {done.held} held" if done.held else ""
    return f"refreshed: {done.models} models, {done.changes} changes{held}, revision {done.revision}"


def _print_json(value: dict[str, Any]) -> None:
    print(msgspec.json.encode(value).decode())
