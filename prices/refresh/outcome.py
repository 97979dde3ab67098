"""What came of an attempt to refresh the prices."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from prices.errors import PricesError


@dataclass(frozen=True, slots=True)
class Refresh:
    """What came of an attempt to refresh; what makes no sense for the outcome is None."""

    outcome: Literal["refreshed", "skipped", "failed"]
    reason: str | None = None
    run_id: int | None = None
    revision: int | None = None
    models: int | None = None
    changes: int | None = None
    held: int | None = None
    skipped_rows: int | None = None
    holder: str | None = None
    age_seconds: float | None = None
    retry_at: str | None = None
    last_failure: str | None = None
    degraded: bool | None = None
    seconds: float | None = None

    def to_builtins(self) -> dict[str, Any]:
        """Give the result as a task or a command reports it, without absent keys."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in given if value is not None}


class RefreshFailedError(PricesError):
    """A refresh failed; the text is the reason, `refresh` the whole result."""

    def __init__(self, reason: str, refresh: Refresh | None = None) -> None:
        super().__init__(reason)
        self.refresh = refresh or Refresh("failed", reason=reason)
