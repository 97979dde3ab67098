"""A task's result: plain JSON in the result store, and the text of a dictionary in log and events."""

from celery.utils.saferepr import saferepr
from kombu.serialization import dumps, loads

from tasks.results import TaskResult

SKIPPED = {"outcome": "skipped", "reason": "held", "holder": "worker@host", "age_seconds": 1.5}


def test_who_asks_for_a_result_gets_a_dictionary() -> None:
    content_type, encoding, stored = dumps({"result": TaskResult(SKIPPED)}, serializer="json")
    assert loads(stored, content_type, encoding) == {"result": SKIPPED}


def test_a_result_is_shown_as_a_dictionary_is_without_being_one() -> None:
    result = TaskResult(SKIPPED)
    assert saferepr(result, 1024) == saferepr(SKIPPED, 1024)
    assert not isinstance(result, dict)
    assert (result["outcome"], result) == ("skipped", SKIPPED)
