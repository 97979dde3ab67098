"""The revision that is being written."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """Its number, the run that writes it, and as of when it holds."""

    number: int
    run_id: int
    at: datetime
