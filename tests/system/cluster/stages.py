"""Gates on a refresh's way, in the pool processes: `celery worker -I tests.system.cluster.stages`.

A file `<stage>.closed` in the folder that STAGES_FOLDER names closes the gate of a stage. The first process
that comes there makes it `<stage>.waiting` and waits until that is gone; others pass. The claim's watchdog
goes on meanwhile.
"""

import os
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

from celery.signals import worker_process_init

from prices.coordination.lease import Lease
from prices.refresh import commit, story
from prices.refresh.stash import Stash
from prices.upstream import model_list

FOLDER: Final = "STAGES_FOLDER"
LOOK_SECONDS: Final = 0.02

Step = Callable[..., Any]
Gate = Callable[[], None]


def before(step: Step, gate: Gate) -> Step:
    """Put the gate in front of a step."""

    @wraps(step)
    def gated(*args: Any, **kwargs: Any) -> Any:
        gate()
        return step(*args, **kwargs)

    return gated


def after(step: Step, gate: Gate) -> Step:
    """Put the gate behind a step."""

    @wraps(step)
    def gated(*args: Any, **kwargs: Any) -> Any:
        done = step(*args, **kwargs)
        gate()
        return done

    return gated


STEPS: Final[dict[str, tuple[Any, str, Callable[[Step, Gate], Step]]]] = {
    "claimed": (story, "_run", before),
    "stashed": (Stash, "put", after),
    "deciding": (model_list, "_parse_row", before),
    "committing": (commit, "finish_run", after),
    "committed": (story, "commit", after),
    "published": (story, "publish_state", after),
    "releasing": (Lease, "release", before),
}
"""Where each gate stands. Upstream itself holds who is fetching."""


@worker_process_init.connect
def put_up(**_rest: Any) -> None:
    """Put up the gates in a pool process."""
    folder = Path(os.environ[FOLDER])
    for stage, (owner, name, place) in STEPS.items():
        setattr(owner, name, place(getattr(owner, name), partial(wait_at, folder, stage)))
    story._run = telling_its_process(story._run, folder)


def wait_at(folder: Path, stage: str) -> None:
    """Wait at a gate, if it is closed and nobody else waits there."""
    waiting = folder / f"{stage}.waiting"
    try:
        (folder / f"{stage}.closed").rename(waiting)
    except FileNotFoundError:
        return
    while waiting.exists():
        time.sleep(LOOK_SECONDS)


def telling_its_process(run: Step, folder: Path) -> Step:
    """Note which process does a run, in a file named after the run."""

    @wraps(run)
    def told(services: Any, claimed: Any, *rest: Any) -> Any:
        (folder / f"{claimed.run_id}.pid").write_text(str(os.getpid()))
        return run(services, claimed, *rest)

    return told
