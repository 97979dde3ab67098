"""Dead letters: the latest are kept, each cut, and without Redis nothing fails."""

from unittest import mock

import pytest

from prices.runtime.redis_client import DEAD_LETTERS_KEY, make_redis
from tasks.dead_letters import KEPT_SECONDS, MOST_BYTES, MOST_LETTERS, bury


def test_the_latest_letters_are_kept_each_with_its_beginning(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    for number in range(MOST_LETTERS + 5):
        bury(b"%d " % number + b"x" * 2 * MOST_BYTES, queue="celery", fault="it is no message")
    with make_redis(redis_url) as redis:
        letters = [letter for _time, letter in redis.xrange(DEAD_LETTERS_KEY)]  # type: ignore[union-attr]
        assert 0 < redis.ttl(DEAD_LETTERS_KEY) <= KEPT_SECONDS  # type: ignore[operator]
    assert len(letters) == MOST_LETTERS
    assert letters[0][b"message"].startswith(b"5 x")
    assert {len(letter[b"message"]) for letter in letters} == {MOST_BYTES}
    assert letters[-1][b"bytes"] == b"%d" % (4 + 2 * MOST_BYTES)
    assert (letters[-1][b"reason"], letters[-1][b"queue"]) == (b"it is no message", b"celery")


def test_without_redis_the_log_is_all_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    log = mock.Mock()
    monkeypatch.setattr("tasks.dead_letters.log", log)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    bury(b"secret", queue="celery", fault="it is no message")
    ((_event,), fields) = log.error.call_args
    assert fields == {"reason": "it is no message", "queue": "celery", "bytes": 6}
    assert log.warning.call_count == 1
