"""`python -m local run` and `python -m local demo`, called by `make` in the project's folder."""

import argparse
import os
import sys
from pathlib import Path

from local.cluster import run
from local.console import Console
from local.errors import LocalError
from local.plans import plan_demo, plan_run
from local.stop import StopRequest


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The whole cluster on one machine.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="with the real OpenRouter")
    verbs.add_parser("demo", help="with a stand-in for OpenRouter whose prices move; needs no network")
    arguments = parser.parse_args()
    make_plan = plan_demo if arguments.verb == "demo" else plan_run
    stop = StopRequest()
    console = Console(sys.stdout.fileno(), colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    try:
        return run(make_plan(Path.cwd(), os.environ), console, stop)
    except LocalError as error:
        console.flush(1.0)
        print(f"pricebeat: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        console.flush(1.0)
        print(f"pricebeat: {error}", file=sys.stderr)
        return 1
    finally:
        console.flush(1.0)


if __name__ == "__main__":
    sys.exit(main())
