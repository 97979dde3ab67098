"""The one error of this package."""


class LocalError(Exception):
    """Why the cluster cannot run here: one line for the person at the terminal, and the exit status."""

    def __init__(self, message: str, *, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
