"""What the next requests are answered: as commanded, in order, each for as many requests as it says."""

from dataclasses import dataclass, field, fields, replace
from threading import Lock
from typing import Any, Self

Json = dict[str, Any]

_NUMBER = (int, float)
_KINDS: dict[str, type | tuple[type, ...]] = {
    "status": int, "headers": dict, "body": str, "html": bool, "empty_list": bool, "garbage": int,
    "size": int, "gzip_bomb": bool, "redirect": (str, int), "patch": dict, "drop": list, "append": list,
    "items": int, "page_size": int, "envelope": dict, "delay": _NUMBER, "drip": _NUMBER, "cut": int,
    "hang": bool, "reset": bool, "gate": dict, "times": int,
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One way to answer; every field at its default is the ordinary list, sent in the ordinary way."""

    status: int = 200
    headers: Json = field(default_factory=dict)
    body: str | None = None  # this text (`body_json`: this value) instead of the list
    html: bool = False  # an HTML page, as proxies send it with status 200
    empty_list: bool = False  # the envelope with no models
    garbage: int | None = None  # so many random bytes
    size: int | None = None  # so many bytes of a list that never ends, chunked and streamed
    gzip_bomb: bool = False  # `size`, compressed
    redirect: str | int | None = None  # to an address, or so many times round before the list
    patch: Json = field(
        default_factory=dict
    )  # {id: {"dotted.path": value, "-dotted.path": anything to remove}}
    drop: list[str] = field(default_factory=list)  # ids
    append: list[Any] = field(default_factory=list)  # raw rows
    items: int | None = None  # only the first so many models
    page_size: int | None = None  # so many models a page, though nobody asked for pages
    envelope: Json = field(default_factory=dict)  # what the envelope says besides, or instead
    delay: float = 0  # seconds before the first byte
    drip: float | None = None  # bytes per second
    cut: int | None = None  # close after so many bytes of the body, whatever Content-Length says
    hang: bool = False  # take the request, never answer (until cleared)
    reset: bool = False  # end the connection with RST: at once, or after `cut` bytes
    gate: Json = field(
        default_factory=dict
    )  # {"hold": true, "after_bytes": n}: wait for a release, then go on
    times: int | None = None  # for so many requests; None: until cleared

    @property
    def hold_at(self) -> int | None:
        """After how many bytes of the body to wait for a release: 0 before the first, None not at all."""
        return int(self.gate.get("after_bytes", 0)) if self.gate.get("hold") else None

    @classmethod
    def parse(cls, given: Json, body_text: str | None = None) -> Self:
        """The answer a command describes; `body_text` is its `body_json`, encoded. Raises ValueError."""
        known = {entry.name for entry in fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"unknown field {name!r}")
            if not isinstance(value, _KINDS[name]) or (isinstance(value, bool) and _KINDS[name] is not bool):
                raise ValueError(f"field {name!r} has the wrong type")
        if unknown := given.get("gate", {}).keys() - {"hold", "after_bytes"}:
            raise ValueError(f"unknown in gate: {sorted(unknown)}")
        return cls(**given) if body_text is None else cls(**{**given, "body": body_text})


class Plan:
    """The answers to come; when they are used up, the ordinary list."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: list[Answer] = []

    def set(self, answers: list[Answer]) -> None:
        """Forgets what was planned and plans these, one after the other."""
        with self._lock:
            self._answers = list(answers)

    def take(self) -> Answer:
        """The answer for the request that has just come in."""
        with self._lock:
            while self._answers and self._answers[0].times is not None and self._answers[0].times <= 0:
                self._answers.pop(0)
            if not self._answers:
                return Answer()
            first = self._answers[0]
            if first.times is not None:
                self._answers[0] = replace(first, times=first.times - 1)
            return first

    def ungate(self) -> None:
        """Takes the gate off what is planned."""
        with self._lock:
            self._answers = [replace(answer, gate={}) for answer in self._answers]
