"""What is a message, an event or a task, and what is none: real ones pass, and whatever comes is judged."""

import base64
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection, Consumer, Producer, Queue

from prices.runtime.redis_client import make_redis
from tasks.broker import refuse_compressed
from tasks.celery import app
from tasks.messages import (
    LATEST,
    MOST_BYTES,
    MOST_RETRIES,
    fault_in_bytes,
    fault_in_envelope,
    fault_in_fanout,
    fault_in_task,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SENT: dict[str, dict[str, Any]] = {
    "plain": {},
    "forced": {"kwargs": {"force": True}},
    "by beat": {"expires": 3600, "headers": {"celery_beat_task": True}},
    "again, later": {"countdown": 600, "retries": 7},
    "with limits": {"time_limit": 240, "soft_time_limit": 200.5},
    "traced": {"headers": {"sentry-trace": "a-b-1", "baggage": "x=y"}},
}


@pytest.fixture
def sent(redis_url: str) -> Callable[..., bytes]:
    """Send a task to a queue that nobody reads; give the bytes that came to be there."""

    def send(**options: Any) -> bytes:
        with Connection(redis_url) as connection, make_redis(redis_url) as redis:
            app.send_task(
                "refresh_prices", queue="nobody", connection=connection, ignore_result=True, **options
            )
            return bytes(redis.rpop("nobody"))  # type: ignore[arg-type]  # not asynchronous

    return send


def parts(raw: bytes) -> tuple[dict[str, Any], Any]:
    """The headers and the decoded body of a message."""
    message = json.loads(raw)
    return message["headers"], json.loads(base64.b64decode(message["body"]))


def event(**fields: Any) -> dict[str, Any]:
    """An event as everybody hears it, with other fields."""
    whole = {
        "type": "worker-online",
        "hostname": "w@h",
        "timestamp": 1.5,
        "clock": 1,
        "pid": 1,
        "utcoffset": 0.0,
    }
    return as_message(whole | fields)


def as_message(content: Any) -> dict[str, Any]:
    return {
        "body": base64.b64encode(json.dumps(content).encode()).decode(),
        "headers": {"hostname": "w@h"},
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {
            "delivery_tag": "t",
            "body_encoding": "base64",
            "delivery_info": {"exchange": "celeryev", "routing_key": "worker.online"},
        },
    }


@pytest.mark.parametrize("kind", SENT)
def test_what_is_sent_is_a_message_and_a_task(kind: str, sent: Callable[..., bytes]) -> None:
    raw = sent(**SENT[kind])
    assert fault_in_bytes(raw) is None
    assert fault_in_task(*parts(raw), datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("retries", MOST_RETRIES, MOST_RETRIES + 1),
        ("retries", 0, -1),
        ("timelimit", [LATEST.total_seconds(), None], [LATEST.total_seconds() + 1, None]),
        ("timelimit", [None, 0.1], [None, 0]),
        ("eta", (NOW + LATEST).isoformat(), (NOW + LATEST + timedelta(seconds=1)).isoformat()),
        ("expires", NOW.isoformat(), NOW.replace(tzinfo=None).isoformat()),
        ("id", "i" * 255, "i" * 256),
    ],
)
def test_each_bound_of_a_task_is_where_it_says(
    name: str, allowed: Any, refused: Any, sent: Callable[..., bytes]
) -> None:
    headers, payload = parts(sent())
    assert fault_in_task({**headers, name: allowed}, payload, NOW) is None
    assert name in str(fault_in_task({**headers, name: refused}, payload, NOW))


def test_a_message_may_be_as_long_as_it_says_and_no_longer(sent: Callable[..., bytes]) -> None:
    raw = sent()
    assert fault_in_bytes(raw + b" " * (MOST_BYTES - len(raw))) is None
    assert "more than" in str(fault_in_bytes(raw + b" " * (MOST_BYTES - len(raw) + 1)))


def test_events_alone_and_many_and_commands_are_for_everybody() -> None:
    single = json.loads(base64.b64decode(event()["body"]))
    for content in (single, [single, single], {"method": "ping", "arguments": {}, "destination": None}):
        assert fault_in_fanout(as_message(content)) is None, content
    assert fault_in_fanout(event(type="task-sent", uuid="u", runtime=1.5, args="()", result=None)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "task-sent"},
        {"clock": "x"},
        {"clock": True},
        {"clock": 2**60},
        {"timestamp": float("nan")},
        {"pid": None},
        {"hostname": []},
        {"active": "x"},
        {"args": 5},
        {"loadavg": 1},
    ],
)
def test_an_event_with_a_field_of_another_kind_is_none(fields: dict[str, Any]) -> None:
    assert fault_in_fanout(event(**fields)) == "it is neither an event nor a command"


@given(JSON, JSON)
def test_whatever_comes_is_judged_and_raises_nothing(one: Any, other: Any) -> None:
    assert fault_in_envelope(one) is not None
    fault_in_fanout(as_message(one))
    fault_in_task(one, other, NOW)
    for name in ("timelimit", "eta", "retries", "id"):
        fault_in_task({"task": "t", "id": "i", name: one}, [[], {}, {}], NOW)
    for part in ("properties", "headers", "body", "content-type"):
        fault_in_envelope({**as_message({}), part: one})


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_no_message(raw: bytes) -> None:
    assert fault_in_bytes(raw) is not None


def test_no_broker_unpacks_what_is_compressed() -> None:
    refuse_compressed()
    refused: list[Any] = []
    body = zlib.compress(b" " * 1024 * 1024)
    headers = {"compression": "application/x-gzip"}
    with Connection("memory://") as connection:
        queue = Queue("messages", channel=connection.channel())
        producer = Producer(connection.channel())
        producer.publish(
            body,
            routing_key="messages",
            declare=[queue],
            headers=headers,
            content_type="application/json",
            content_encoding="binary",
        )
        consumer = Consumer(
            connection.channel(),
            [queue],
            on_decode_error=lambda message, error: refused.append((message, error)),
        )
        with consumer:
            connection.drain_events(timeout=5)
    ((message, error),) = refused
    assert "compressed" in str(error)
    assert len(message.body) < 2048
