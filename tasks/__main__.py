"""The operator's commands: `python -m tasks status | run-once | replay | lock`."""

import argparse
import sys
from pathlib import Path

from prices.errors import PricesError
from prices.services import Services
from tasks import commands

COMMANDS = {
    "status": commands.status,
    "run-once": commands.run_once,
    "replay": commands.replay_folder,
    "lock": commands.lock,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; give its exit status. What went wrong is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        services = Services.make(process=options.command)
    except PricesError as error:
        print(f"tasks: {error}", file=sys.stderr)
        return commands.UNUSABLE
    try:
        return COMMANDS[options.command](services, options)
    except PricesError as error:
        print(f"tasks: {error}", file=sys.stderr)
        return commands.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tasks", description="Look at the cluster and act on it.")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    told = verbs.add_parser(
        "status",
        help="how the cluster is",
        description="How the cluster is. Exit status 0 healthy, 1 degraded, 2 broken.",
    )
    once = verbs.add_parser(
        "run-once",
        help="one guarded refresh in this process",
        description="One guarded refresh in this process. "
        "Exit status 0 refreshed or fresh, 3 held by another, 1 failed.",
    )
    once.add_argument("--force", action="store_true", help="also when the prices are fresh")
    once.add_argument(
        "--accept-held",
        action="store_true",
        help="believe at once what is held and what would be; implies --force",
    )
    replayed = verbs.add_parser(
        "replay",
        help="load history from dated bodies",
        description="Feed a folder of bodies, named like 2026-08-06T1244Z.json.gz (UTC), through refreshes "
        "of their own times. What is older than the catalogue is passed over, so it can be run again at any "
        "time. Exit status 0 fed or known, 1 failed or some body was no price list.",
    )
    replayed.add_argument("folder", type=Path, metavar="FOLDER", help="where the bodies are")
    replayed.add_argument(
        "--twice",
        action="store_true",
        help="feed each again as if a minute later, so that what the guards hold is confirmed",
    )
    lock = verbs.add_parser(
        "lock", help="who holds the refresh lock; taking it away", description="The refresh lock."
    )
    actions = lock.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("show", help="who holds it", description="Who holds the lock.")
    broken = actions.add_parser(
        "break",
        help="take it from one holder",
        description="Take the lock from the holder of a token, and from no other. "
        "Exit status 0 taken, 3 that token holds nothing.",
    )
    broken.add_argument(
        "--if-holder", required=True, metavar="TOKEN", help="the token that `lock show` names"
    )
    for command in (told, once, replayed, shown, broken):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
