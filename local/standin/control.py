"""The commands under `/_control/`, each a method, a path and a small function.

GET  requests   {"received", "completed", "held", "log"}; DELETE or POST begins to count anew
POST answer     one answer (`answers.Answer` as JSON; `body_json` in place of `body`) or a list, in turn
POST clear      ordinary answers again; lets go whoever is held, closes whoever hangs
POST release    lets go whoever is held at the gate, and opens it
GET  time       {"now", "speed"}; POST {"now": ISO} | {"advance": seconds} | {"speed": factor}
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.standin.answers import Answer, Plan
from local.standin.clock import Clock, moment
from local.standin.gate import Gate
from local.standin.ledger import Ledger
from local.standin.replay import Source


@dataclass(frozen=True)
class Upstream:
    """All that one stand-in is made of, shared by its connections."""

    source: Source
    clock: Clock
    plan: Plan = field(default_factory=Plan)
    gate: Gate = field(default_factory=Gate)
    ledger: Ledger = field(default_factory=Ledger)


def command(upstream: Upstream, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Carries out a command; returns the status and what to answer."""
    verb = _COMMANDS.get((method, path.removeprefix("/_control/")))
    if verb is None:
        return 404, {"error": {"code": 404, "message": f"no command {method} {path}"}}
    try:
        return 200, verb(upstream, json.loads(body) if body else {})
    except (ValueError, TypeError, AttributeError) as refused:
        return 400, {"error": {"code": 400, "message": str(refused)}}


def _requests(upstream: Upstream, _: Any) -> dict[str, Any]:
    return upstream.ledger.report() | {"held": upstream.gate.held}


def _reset(upstream: Upstream, _: Any) -> dict[str, Any]:
    upstream.ledger.reset()
    return {}


def _answer(upstream: Upstream, given: Any) -> dict[str, Any]:
    answers = [_parsed(one) for one in (given if isinstance(given, list) else [given])]
    upstream.plan.set(answers)
    return {"planned": len(answers)}


def _parsed(given: Any) -> Answer:
    if "body_json" not in given:
        return Answer.parse(given)
    rest = {name: value for name, value in given.items() if name != "body_json"}
    return Answer.parse(rest, json.dumps(given["body_json"]))


def _clear(upstream: Upstream, _: Any) -> dict[str, Any]:
    upstream.plan.set([])
    return {"released": upstream.gate.release()}


def _release(upstream: Upstream, _: Any) -> dict[str, Any]:
    upstream.plan.ungate()
    return {"released": upstream.gate.release()}


def _time(upstream: Upstream, _: Any) -> dict[str, Any]:
    return {"now": upstream.clock.now().isoformat(), "speed": upstream.clock.speed}


def _set_time(upstream: Upstream, given: Any) -> dict[str, Any]:
    if unknown := given.keys() - {"now", "advance", "speed"}:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    now = moment(given["now"]) if "now" in given else None
    upstream.clock.change(now=now, advance=given.get("advance", 0), speed=given.get("speed"))
    return _time(upstream, given)


_COMMANDS: dict[tuple[str, str], Callable[[Upstream, Any], dict[str, Any]]] = {
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _reset,
    ("POST", "requests"): _reset,
    ("POST", "answer"): _answer,
    ("POST", "clear"): _clear,
    ("POST", "release"): _release,
    ("GET", "time"): _time,
    ("POST", "time"): _set_time,
}
