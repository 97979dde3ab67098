"""Query parameters, read strictly: what cannot be used is named, and nothing is guessed."""

from collections.abc import Iterable
from datetime import UTC, datetime

from flask import request
from werkzeug.exceptions import BadRequest


def text(name: str) -> str | None:
    """Read a parameter's text, None where it is absent. Raises BadRequest where it is given twice."""
    given = request.args.getlist(name)
    if len(given) > 1:
        raise BadRequest(f"{name} is given {len(given)} times: which of them is meant?")
    return given[0] if given else None


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Read a whole number. Raises BadRequest that names the parameter and its bounds."""
    digits = text(name)
    if digits is None:
        return default
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9 and least <= int(digits) <= most):
        raise BadRequest(f"{name} must be a whole number from {least} to {most}")
    return int(digits)


def moment(name: str) -> datetime | None:
    """Read a time in ISO 8601 with its zone. Raises BadRequest that names the parameter."""
    written = text(name)
    if written is None:
        return None
    # A plus sign that was not escaped arrives as a space.
    return parsed_moment(name, written.replace(" ", "+") if "T" in written else written)


def parsed_moment(name: str, written: str) -> datetime:
    """Read a time's text as `moment` does."""
    try:
        at = datetime.fromisoformat(written)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"{name} must be a time in ISO 8601 with its zone, like 2026-08-06T12:44:00Z")


def choices(name: str, known: Iterable[str]) -> frozenset[str] | None:
    """Read names divided by commas, None where the parameter is absent. Raises BadRequest."""
    listed = text(name)
    if listed is None:
        return None
    asked = frozenset(listed.split(","))
    if not asked <= {*known}:
        raise BadRequest(f"{name} must be some of {', '.join(sorted(known))}, divided by commas")
    return asked


def only(*known: str) -> None:
    """Refuse parameters that this route does not know: an answer that ignores one would be wrong."""
    for name in request.args:
        if name not in known:
            told = f"this route takes {', '.join(known)}" if known else "this route takes none"
            raise BadRequest(f"unknown parameter {name[:40]!r}: {told}")
