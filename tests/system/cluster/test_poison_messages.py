"""Messages that nobody can use: dropped, kept as dead letters, and no process ends or stumbles over them."""

import base64
import json
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from prices.runtime.redis_client import DEAD_LETTERS_KEY
from tests.system.cluster.cluster import FLOWER_USER, Cluster, close, get, prepare, send
from tests.system.cluster.conftest import OpenCluster, Record
from tests.system.cluster.matrix import FaultRow

LARGE = 300 * 1024 * 1024
TOO_FAR = (datetime.now(UTC) + timedelta(days=400)).isoformat()
SOON = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
DEEP = b"[" * 100_000 + b"]" * 100_000
Change = Callable[[dict[str, Any]], None]


def without(*path: str) -> Change:
    def change(message: dict[str, Any]) -> None:
        for name in path[:-1]:
            message = message[name]
        del message[path[-1]]

    return change


def header(**headers: Any) -> Change:
    return lambda message: message["headers"].update(headers)


def envelope(**parts: Any) -> Change:
    return lambda message: message.update({name.replace("_", "-"): part for name, part in parts.items()})


def prop(**properties: Any) -> Change:
    return lambda message: message["properties"].update(properties)


def body(content: bytes) -> Change:
    return lambda message: message.update(body=base64.b64encode(content).decode())


def bomb(message: dict[str, Any]) -> None:
    header(compression="application/x-gzip")(message)
    pack = zlib.compressobj()
    pieces = [pack.compress(b" " * 1024 * 1024) for _ in range(LARGE // 1024 // 1024)]
    body(b"".join([*pieces, pack.flush()]))(message)


WRONG_BYTES = {
    "no JSON": b"\xff\xfe",
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "nested too deep": DEEP,
    "an empty object": b"{}",
    "a value that kombu reads and cannot": b'{"__type__": "decimal", "__value__": "x"}',
    "properties that are none": b'{"properties": null, "headers": {}, "body": ""}',
    "far too long": b"[" + b"0," * 3_000_000 + b"0]",
}
WRONG_MESSAGES: dict[str, Change] = {
    "without properties": without("properties"),
    "without a delivery tag": without("properties", "delivery_tag"),
    "without a way of delivery": without("properties", "delivery_info"),
    "a list as delivery tag": prop(delivery_tag=[]),
    "an unknown encoding of the body": prop(body_encoding="rot13"),
    "no base64": envelope(body="%%%"),
    "a number as body": envelope(body=5),
    "no body": envelope(body=None),
    "a list of headers": envelope(headers=[1]),
    "no headers": envelope(headers=None),
    "pickle": envelope(content_type="application/x-python-serialize", content_encoding="binary"),
    "another charset": envelope(content_encoding="utf-7"),
    "a body that is null": body(b"null"),
    "a body that is an empty list": body(b"[]"),
    "a body that is an object": body(b"{}"),
    "a body that is no JSON": body(b"\xff"),
    "a body nested too deep": body(DEEP[:20_000]),
    "a body that kombu reads and cannot": body(b'[[], {"__type__": [], "__value__": 1}, {}]'),
    "a body that is too long": body(json.dumps([["x" * 70_000], {}, {}]).encode()),
    "arguments that are a text": body(b'["x", {}, {}]'),
    "named arguments that are a list": body(b"[[], [], {}]"),
    "a chain of other tasks": body(b'[[], {}, {"chain": [{"task": "refresh_prices"}]}]'),
    "callbacks that are none": body(b'[[], {}, {"callbacks": 5}]'),
    "a time limit that is a text": header(timelimit="x"),
    "a time limit of texts": header(timelimit=["x", "y"]),
    "a time limit that is no number": header(timelimit=[float("nan"), None]),
    "three time limits": header(timelimit=[1, 2, 3]),
    "a list as id": header(id=[]),
    "no id": header(id=None),
    "an id that is no ASCII": header(id="\ud800"),
    "a list as task": header(task=[]),
    "no task": header(task=None),
    "a text as retries": header(retries="x"),
    "as many retries as no computer can count": header(retries=10**12),
    "a list as shadow": header(shadow=[]),
    "a number as eta": header(eta=5),
    "no time as eta": header(eta="soon"),
    "a year from now as eta": header(eta=TOO_FAR),
    "a list as expires": header(expires=[]),
    "a number as group": header(group=5),
    "a text as stamps": header(stamps="x"),
    "a list as the name of a stamp": header(stamped_headers=[[]]),
    "the same, to be kept for a while": header(stamped_headers=[[]], eta=SOON),
    "a stamp that holds lists": header(stamped_headers=["x"], stamps={"x": [[]]}),
    "a task that nobody knows": header(task="no_such_task"),
    "300 MiB, compressed": bomb,
}
FANOUT_BODIES = {
    "no event": b"{}",
    "null": b"null",
    "no JSON": b"\xff",
    "an event without a clock": b'{"type": "worker-heartbeat", "hostname": "x", "timestamp": 1}',
    "an event whose clock is a text": b'{"type": "task-sent", "uuid": "u", "hostname": "x", "timestamp": 1,'
    b' "clock": "x", "pid": 1, "utcoffset": 0}',
    "an event at no time": b'{"type": "worker-heartbeat", "hostname": "x", "timestamp": Infinity, "clock": 1,'
    b' "pid": 1, "utcoffset": 0}',
    "an event whose runtime is a list": b'{"type": "task-sent", "uuid": "u", "hostname": "x", "timestamp": 1,'
    b' "clock": 1, "pid": 1, "utcoffset": 0, "runtime": []}',
    "a command whose destination is a number": b'{"method": "ping", "destination": 5, "arguments": {}}',
    "a command that nobody knows": b'{"method": "jump", "arguments": {}}',
    "a command with wrong arguments": b'{"method": "ping", "arguments": [1]}',
}


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    """A worker, a beat and Flower with prices."""
    with open_cluster("sqlite") as cluster:
        cluster.start_worker("one")
        cluster.start_beat()
        cluster.start_flower()
        cluster.wait_until_up()
        cluster.wait_until(lambda: [run for run in cluster.runs() if run["outcome"]], "a refresh", 30)
        yield cluster


@pytest.fixture
def app(cluster: Cluster) -> Iterator[Celery]:
    """A client of the queue."""
    app = Celery("tests", broker=cluster.redis.url, backend=cluster.redis.url, set_as_current=False)
    prepare(app)
    yield app
    close(app)


@pytest.fixture
def good(cluster: Cluster, app: Celery) -> dict[str, Any]:
    """A message as it is sent, which no worker takes."""
    app.send_task("refresh_prices", queue="nobody")
    message: dict[str, Any] = json.loads(cluster.services.redis.rpop("nobody"))  # type: ignore[arg-type]
    message["properties"]["delivery_info"]["routing_key"] = "celery"
    return message


def changed(message: dict[str, Any], change: Change) -> bytes:
    """A copy of a message with a change."""
    copy = json.loads(json.dumps(message))
    change(copy)
    return json.dumps(copy).encode()


def memory(pid: int) -> int:
    """The resident memory of a process at its highest, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line[:5] == "VmHWM"]
    return int(line.split()[1]) * 1024


def children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_messages_that_nobody_can_use_become_dead_letters_and_end_no_worker(
    cluster: Cluster, app: Celery, good: dict[str, Any], record: Record
) -> None:
    redis, worker = cluster.services.redis, cluster.nodes["one"]
    pid, pool, before = worker.process.pid, children(worker.process.pid), memory(worker.process.pid)
    poison = {**WRONG_BYTES, **{name: changed(good, change) for name, change in WRONG_MESSAGES.items()}}

    began = time.monotonic()
    for name, message in poison.items():
        redis.lpush("celery", message)
        if name in ("far too long", "300 MiB, compressed"):
            cluster.wait_until(lambda: not cluster.queued(), name)
    redis.lpush("celery", json.dumps(good), json.dumps(good))  # one message twice, with one delivery tag
    task = send(app, force=True)

    assert task.get(timeout=60)["outcome"] == "refreshed"
    seconds = time.monotonic() - began
    cluster.wait_until(lambda: not redis.exists("celery", "unacked", "unacked_index"), "nothing is kept")
    letters = [letter for _id, letter in redis.xrange(DEAD_LETTERS_KEY)]  # type: ignore[union-attr]
    assert len(letters) == len(poison), set(poison) - {str(letter) for letter in letters}
    assert all(letter[b"reason"] and letter[b"queue"] == b"celery" for letter in letters)
    assert max(len(letter[b"message"]) for letter in letters) == 4096
    assert (worker.process.status, worker.process.pid, children(pid)) == ("running", pid, pool)
    assert memory(pid) - before < 100 * 1024 * 1024
    assert worker.logs().count("Dropped a message that cannot be used") == len(poison)
    assert "Traceback" not in worker.logs().replace(unknown_task(worker.logs()), "")
    happens = "each is logged, dropped and kept as a dead letter; the next message is worked on"
    record(FaultRow("Poison messages", "in the queue", "sqlite", happens, seconds, 1))


def unknown_task(log: str) -> str:
    """What Celery itself writes about a task that it does not know."""
    return log[log.find("Received unregistered task") :].partition("KeyError")[0]


def test_fanout_messages_that_nobody_can_use_stop_neither_worker_nor_beat_nor_flower(
    cluster: Cluster, app: Celery, good: dict[str, Any], record: Record
) -> None:
    redis = cluster.services.redis
    fanout = dict(good, headers={"clock": 1, "expires": None})
    poison = {
        **WRONG_BYTES,
        **{f"body: {name}": changed(fanout, body(content)) for name, content in FANOUT_BODIES.items()},
        "pickle": changed(fanout, WRONG_MESSAGES["pickle"]),
        "a bomb": changed(fanout, bomb),
        "a clock that is a text": changed(fanout, lambda message: message["headers"].update(clock="x")),
    }
    pids = {name: node.process.pid for name, node in cluster.nodes.items()}
    topics = ("/0.celery.pidbox", "/0.celeryev/worker.heartbeat", "/0.celeryev/task.sent")
    began = time.monotonic()
    for message in poison.values():
        for topic in topics:
            assert redis.publish(topic, message) >= 1

    replies = cluster.wait_until(
        lambda: (found := app.control.ping(timeout=3)) and len(found) >= 2 and found, "all answer", 30
    )
    assert {name.partition("@")[0] for reply in replies for name in reply} == {"worker", "celerybeat"}
    task = send(app, force=True)
    assert task.get(timeout=30)["outcome"] == "refreshed"
    flower = cluster.nodes["flower"].port  # type: ignore[attr-defined]
    cluster.wait_until(
        lambda: task.id in get(flower, "/api/tasks", user=FLOWER_USER).json, "Flower shows the next task"
    )
    seconds = time.monotonic() - began
    assert get(flower, "/tasks", user=FLOWER_USER).status == 200
    assert {name: node.process.pid for name, node in cluster.nodes.items()} == pids
    assert {node.process.status for node in cluster.nodes.values()} == {"running"}
    assert "Failed to capture events" not in cluster.nodes["flower"].logs()
    assert "connection error" not in cluster.nodes["beat"].logs()
    happens = "each is logged and dropped by whoever hears it; events and remote control go on"
    record(FaultRow("Poison messages", "sent to everybody", "sqlite", happens, seconds, 1))
