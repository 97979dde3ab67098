"""What a task returns, as Celery stores it and shows it."""

from collections import UserDict
from typing import Any


class TaskResult(UserDict[str, Any]):
    """A task's result by its keys: a JSON object in the result store, a dictionary's text in log and events.

    Of a real dictionary Celery makes that text piece by piece (celery.utils.saferepr), which takes longer
    than all that a skipped task does beside asking Redis; of any other type it asks for `repr`.
    """

    def __json__(self) -> dict[str, Any]:
        """Give what is stored, where kombu's JSON encoder looks for it (kombu.utils.json)."""
        return self.data
