"""The stages of a refresh, and the gates at which a test lets it wait; `stages.py` is their other side."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.system.cluster.nodes import WorkerNode


@dataclass(frozen=True)
class Stage:
    """A place on a refresh's way, what has been done before it, and what comes of one that is lost there."""

    name: str
    told: str
    happens: str
    committed: bool = False


STAGES = {
    stage.name: stage
    for stage in (
        Stage("claimed", "stage 1: it has the claim", "another fetches and finishes"),
        Stage("fetching", "stage 2: half of the body has come", "another fetches anew and finishes"),
        Stage("stashed", "stage 3: the body is stashed", "another finishes with the stashed body"),
        Stage("deciding", "stage 4: the body is being read", "another finishes with the stashed body"),
        Stage("committing", "stage 5: written, not committed", "another finishes with the stashed body"),
        Stage("committed", "stage 6: committed, not published", "beat publishes it", committed=True),
        Stage("published", "stage 7: published", "nothing is missing, the claim runs out", committed=True),
        Stage(
            "releasing",
            "stage 8: giving the claim back",
            "nothing is missing, the claim runs out",
            committed=True,
        ),
    )
}


@dataclass(frozen=True)
class Holder:
    """A refresh that waits at a stage: its run, and the process and the worker that do it."""

    stage: Stage
    run_id: int
    pid: int
    worker: WorkerNode

    def send(self, number: signal.Signals, *, to_whole_worker: bool) -> None:
        """Send a signal to the pool process alone, or to the worker with its parent and children."""
        if to_whole_worker:
            self.worker.kill(number.name)
        else:
            os.kill(self.pid, number)


class Gates:
    """The gates of all workers whose STAGES_FOLDER is `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def close(self, stage: str) -> None:
        """Let the first that comes there wait."""
        (self.folder / f"{stage}.closed").touch()

    def is_waited_at(self, stage: str) -> bool:
        """Whether a refresh waits there."""
        return (self.folder / f"{stage}.waiting").exists()

    def open(self, stage: str) -> None:
        """Let go who waits there, and let everyone pass."""
        for state in ("closed", "waiting"):
            (self.folder / f"{stage}.{state}").unlink(missing_ok=True)

    def process_of(self, run_id: int) -> int:
        """Which process does a run."""
        return int((self.folder / f"{run_id}.pid").read_text())
