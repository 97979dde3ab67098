"""What a message must be before Celery sees it. Pure: each check names what is wrong, or nothing.

kombu and Celery trust what they receive: a message of another shape ends the worker, is put back, and ends
the next. The shape is that of protocol 2: https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from kombu.utils.json import loads

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a message as it comes from the broker; a worker's answer to an inspection is the longest."""
MOST_BODY_BYTES: Final = 64 * 1024
"""Of a task's arguments; ours has one."""
MOST_RETRIES: Final = 1_000_000
MOST_NUMBER: Final = 2**53
LATEST: Final = timedelta(days=1)
"""How long a worker may be asked to keep a message, and how long a task may be allowed to take."""

DEPLOYMENT: Final = "pricebeat_deployment"
"""The header that says which deployment's beat sent a message; one that was sent by hand has none."""

_TEXT: Final = (str, type(None))
_HEADERS: Final[Mapping[str, tuple[type, ...]]] = {
    "id": (str,),
    "task": (str,),
    "root_id": _TEXT,
    "parent_id": _TEXT,
    "group": _TEXT,
    "argsrepr": _TEXT,
    "kwargsrepr": _TEXT,
    "origin": _TEXT,
    "lang": _TEXT,
    "shadow": _TEXT,
    "eta": _TEXT,
    "expires": _TEXT,
    "retries": (int, type(None)),
    "group_index": (int, type(None)),
    "replaced_task_nesting": (int, type(None)),
    "timelimit": (list, tuple, type(None)),
    "ignore_result": (bool, type(None)),
    "stamped_headers": (list, type(None)),
    "stamps": (dict, type(None)),
    DEPLOYMENT: _TEXT,
}
_NUMBER: Final = (int, float)
_EVENT_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "type": (str,),
    "hostname": (str,),
    "timestamp": _NUMBER,
    "clock": (int,),
    "utcoffset": _NUMBER,
    "pid": (int,),
}
"""What every event has; one of a task has `uuid` too."""
_OTHER_EVENT_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("uuid", "root_id", "parent_id", "name", "args", "kwargs", "eta", "expires"), _TEXT),
    **dict.fromkeys(("queue", "exchange", "routing_key", "result", "exception", "traceback"), _TEXT),
    **dict.fromkeys(("sw_ident", "sw_ver", "sw_sys"), _TEXT),
    **dict.fromkeys(("runtime", "freq", "active", "processed", "retries"), (*_NUMBER, type(None))),
    "loadavg": (list, type(None)),
}


def fault_in_bytes(raw: bytes) -> str | None:
    """Say what keeps the bytes of a queue from being a message."""
    if len(raw) > MOST_BYTES:
        return f"it has {len(raw)} bytes, more than {MOST_BYTES}"
    try:
        message = loads(raw)
    except Exception:  # noqa: BLE001 - kombu reads more than JSON: times, decimals, each with errors of its own
        return "it is no JSON"
    return fault_in_envelope(message)


def fault_in_envelope(message: Any) -> str | None:
    """Say what keeps a decoded JSON value from being a message of kombu's."""
    if not isinstance(message, dict) or not isinstance(message.get("properties"), dict):
        return "it is no message"
    properties, headers, body = message["properties"], message.get("headers"), message.get("body")
    delivery = properties.get("delivery_info")
    if not isinstance(delivery, dict) or not all(
        isinstance(text, str)
        for text in (properties.get("delivery_tag"), delivery.get("exchange"), delivery.get("routing_key"))
    ):
        return "it does not say how it was delivered"
    if not isinstance(headers, dict) or not isinstance(body, str):
        return "it has no headers or no body"
    if "compression" in headers:
        return "it is compressed"
    if (message.get("content-type"), message.get("content-encoding")) != ("application/json", "utf-8"):
        return "its body is no JSON"
    if properties.get("body_encoding") not in (None, "base64"):
        return "its body is not encoded as it says"
    try:
        _body_of(message)
    except ValueError:
        return "its body is not encoded as it says"
    return None


def fault_in_fanout(message: Any) -> str | None:
    """Say what keeps a decoded JSON value from being a message to everybody: an event or a remote command."""
    if fault := fault_in_envelope(message):
        return fault
    try:
        body = loads(_body_of(message))
    except Exception:  # noqa: BLE001 - as above
        return "its body is no JSON"
    if isinstance(body, dict) and isinstance(body.get("method"), str):
        return None
    events = body if isinstance(body, list) else [body]
    return None if all(_is_event(event) for event in events) else "it is neither an event nor a command"


def _body_of(message: Mapping[str, Any]) -> bytes:
    body: str = message["body"]
    return body.encode() if message["properties"].get("body_encoding") is None else base64.b64decode(body)


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    fields = dict(_EVENT_FIELDS)
    if str(event.get("type")).startswith("task-"):
        fields["uuid"] = (str,)
    others = {name: kinds for name, kinds in _OTHER_EVENT_FIELDS.items() if name not in fields}
    return all(_is_one_of(event.get(name), kinds) for name, kinds in {**others, **fields}.items())


def _is_one_of(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int | float) and not abs(value) <= MOST_NUMBER:
        return False
    return isinstance(value, kinds)


def fault_in_task(headers: Any, payload: Any, now: datetime) -> str | None:
    """Say what keeps a message's headers and its decoded body from being a task."""
    if not isinstance(headers, dict) or not isinstance(headers.get("task"), str):
        return "it names no task"
    for name, kinds in _HEADERS.items():
        if (fault := _fault_in_header(name, headers.get(name), kinds)) is not None:
            return fault
    if not 0 <= (headers.get("retries") or 0) <= MOST_RETRIES:
        return "its header retries is out of bounds"
    limits = headers.get("timelimit") or (None, None)
    if len(limits) != 2 or not all(limit is None or _is_duration(limit) for limit in limits):
        return "its header timelimit is no pair of seconds"
    if not _are_stamps(headers.get("stamped_headers") or [], headers.get("stamps") or {}):
        return "its stamps are not texts"
    for name in ("eta", "expires"):
        if (fault := _fault_in_time(name, headers.get(name), now)) is not None:
            return fault
    return _fault_in_payload(payload)


def _are_stamps(names: list[Any], stamps: dict[Any, Any]) -> bool:
    """Whether a worker can look stamps up among revoked ones, as it does once it has taken a slot."""
    texts = [*names]
    for value in stamps.values():
        texts += value if isinstance(value, list) else [value]
    return all(isinstance(text, str) for text in texts) and stamps.keys() >= set(names)


def _fault_in_header(name: str, value: Any, kinds: tuple[type, ...]) -> str | None:
    if not _is_one_of(value, kinds) or (isinstance(value, str) and not value.isprintable()):
        return f"its header {name} is not what Celery sends"
    if name in ("id", "task") and not (0 < len(value) <= 255 and value.isascii()):
        return f"its header {name} is not what Celery sends"
    return None


def _is_duration(limit: Any) -> bool:
    return _is_one_of(limit, _NUMBER) and 0 < limit <= LATEST.total_seconds()


def _fault_in_time(name: str, text: str | None, now: datetime) -> str | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return f"its header {name} is no time"
    if at.tzinfo is None:
        return f"its header {name} has no zone"
    if name == "eta" and at - now > LATEST:
        return f"its header {name} is more than {LATEST.days} days ahead"
    return None


def _fault_in_payload(payload: Any) -> str | None:
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return "its body is not what Celery sends"
    arguments, named, rest = payload
    if not isinstance(arguments, list | tuple) or not isinstance(named, dict):
        return "its body holds no arguments"
    if not isinstance(rest, dict | None) or any(value for value in (rest or {}).values()):
        return "its body asks for other tasks after it"
    return None
