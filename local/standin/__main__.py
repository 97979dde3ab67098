"""Starts a stand-in OpenRouter and says where it listens."""

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from types import FrameType

from local.standin.clock import Clock, moment
from local.standin.control import Upstream
from local.standin.replay import MadeUp, Replay
from local.standin.server import StandinServer

_ENDS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    options = _options()
    for number in _ENDS:
        signal.signal(number, _stop)
    source = Replay(options.replay) if options.replay else MadeUp(options.models)
    clock = Clock(options.start or datetime.now(UTC), options.speed)
    source.body(clock.now())  # so that the first client does not wait for a large catalogue
    with StandinServer((options.host, options.port), Upstream(source, clock)) as server:
        # From here on a signal is waited for, not handled: a handler would break into the serving.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        print(f"listening on {server.base_url}", flush=True)
        if options.until_eof:
            Thread(target=_stop_at_eof, daemon=True).start()
        signal.sigwait(_ENDS)
        server.shutdown()


def _options() -> Namespace:
    parser = ArgumentParser("python -m local.standin", description="A stand-in for OpenRouter's price list.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--models", type=int, default=420, help="how many models the made-up catalogue has")
    parser.add_argument(
        "--replay", type=Path, help="a recorded body, or a folder of dated ones, in place of it"
    )
    parser.add_argument("--start", type=moment, help="the virtual time to begin at (ISO 8601; now)")
    parser.add_argument(
        "--speed", type=float, default=1, help="virtual seconds per second (1; 0 stands still)"
    )
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    return parser.parse_args()


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _stop_at_eof() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
