"""Lists of many models of which each differs from the one before, and a server of theirs."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.processes import wait_until
from local.ports import HOST, answers, free_port
from local.standin import catalogue

NOON: Final = datetime(2026, 8, 6, 12, tzinfo=UTC)
HALF: Final = Decimal("0.5")


@contextlib.contextmanager
def served_lists(folder: Path, counts: Mapping[int, int]) -> Iterator[str]:
    """Serve lists under `/<models>/<number>/models`, so many of each size, from a process of its own.

    In each list every model is another than in the one before; `7+` is list 7 with every hundredth model
    changed once more.
    """
    for models, count in counts.items():
        first = msgspec.json.decode(catalogue.body(models, NOON))
        for number in range(count):
            another = _moved(first, Decimal(number) / 100, 1)
            for name, told in ((f"{number}", another), (f"{number}+", _moved(another, HALF, 100))):
                file = folder / str(models) / name / "models"
                file.parent.mkdir(parents=True)
                file.write_bytes(msgspec.json.encode(told))
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        yield f"http://{HOST}:{port}"
    finally:
        server.kill()
        server.wait()


def _moved(told: Any, by: Decimal, every: int) -> Any:
    """Give a list in which every so manieth model has other prices, or another length of its context."""
    rows = [_other(row, by) if position % every == 0 else row for position, row in enumerate(told["data"])]
    return told | {"data": rows}


def _other(row: Any, by: Decimal) -> Any:
    moved = {
        name: str(Decimal(price) * (1 + by))
        for name, price in row["pricing"].items()
        if isinstance(price, str) and Decimal(price) > 0
    }
    if not moved:
        return row | {"context_length": (row.get("context_length") or 0) + int(1000 * by)}
    return row | {"pricing": row["pricing"] | moved}
