"""Many requests at once, made and timed by wrk (https://github.com/wg/wrk)."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 2
CONNECTIONS: Final = 16
SLOWEST: Final = 10
"""Seconds that the slowest server is given."""


def is_here() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured: requests a second, and the µs within which half, and 99 in 100, were served."""

    rate: float
    half: float
    most: float


def load(url: str, tag: str | None = None, *, seconds: int = SECONDS) -> Load:
    """Let wrk ask, as one who knows the validator `tag` if there is one; see that every answer was one.

    A server that did not answer each connection once in that time is given more.
    """
    headers = ["-H", "Accept-Encoding: gzip", *(["-H", f"If-None-Match: {tag}"] if tag else [])]
    patience = ["--latency", "--timeout", f"{SLOWEST}s"]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *patience, *headers, url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in told, told
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])
    if rate * seconds < CONNECTIONS and seconds < SLOWEST:
        return load(url, tag, seconds=SLOWEST)
    return Load(rate, _microseconds(told, 50), _microseconds(told, 99))


def _microseconds(told: str, percent: int) -> float:
    number, unit = re.findall(rf"\s{percent}%\s+([\d.]+)(us|ms|s)\b", told)[0]
    return float(number) * {"us": 1, "ms": 1000, "s": 1_000_000}[unit]
