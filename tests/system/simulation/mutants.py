"""Shows that the simulation can fail: takes one safeguard at a time out of a copy, and runs seeds against it.

python -m tests.system.simulation.mutants OUT.json [--seeds N]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prices.runtime.settings import ROOT
from tests.system.simulation.mutations import MUTATIONS, Mutation, TextGoneError

SEEDS = 200
MOST_SEEDS = 2000
"""How many are tried where those notice nothing and nothing stands behind: as many as in `make test`."""
COPIED = ("prices", "tasks", "tests", "migrations", "deploy_migrations.py", "celeryconfig.py")
MOST_SECONDS = 3600


def survivors(mutation: Mutation, seeds: int) -> dict[str, Any]:
    """Run seeds against a copy without the safeguard; say how many noticed and how many did not."""
    with tempfile.TemporaryDirectory(prefix="pricebeat-mutant-") as folder:
        root = Path(folder)
        copy_tree(root)
        mutation.apply(root)
        done = subprocess.run(
            [sys.executable, "-m", "tests.system.simulation.seeds", "0", str(seeds), "--json"],
            cwd=root,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )
    try:
        broke = len(json.loads(done.stdout))
    except ValueError:
        raise RuntimeError(f"{mutation.name}: {done.stderr.strip()[-300:]}") from None
    return {"name": mutation.name, "broke": broke, "survived": seeds - broke, "behind": mutation.behind}


def tried(mutation: Mutation, seeds: int) -> dict[str, Any]:
    """Run seeds without a safeguard, and more where they notice nothing and nothing stands behind it."""
    found = survivors(mutation, seeds)
    return found if found["broke"] or mutation.behind else survivors(mutation, max(seeds, MOST_SEEDS))


def copy_tree(root: Path) -> None:
    """Copy what the simulation runs."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)


def main(words: list[str]) -> int:
    """Write the report; exit status 1 when a safeguard's loss that must be noticed was not."""
    parser = argparse.ArgumentParser(description="Run the simulation against copies without a safeguard.")
    parser.add_argument("out", type=Path, metavar="OUT.json")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    asked = parser.parse_args(words)
    told = []
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for found in pool.map(lambda mutation: tried(mutation, asked.seeds), MUTATIONS):
                seeds = found["broke"] + found["survived"]
                print(f"{found['broke']:>6} of {seeds} broke: {found['name']}", file=sys.stderr, flush=True)
                told.append(found)
    except (TextGoneError, RuntimeError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"seeds": asked.seeds, "mutants": told}, indent=1))
    unnoticed = [
        one.name for one, found in zip(MUTATIONS, told, strict=True) if not one.behind and not found["broke"]
    ]
    for name in unnoticed:
        print(f"mutants: no seed noticed the loss of {name}", file=sys.stderr)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
