"""Query parameters, read strictly: what cannot be used is named, and nothing is guessed."""

from collections.abc import Iterable
from datetime import UTC, datetime

from flask import request
from werkzeug.exceptions import BadRequest


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Read a whole number. Raises BadRequest that names the parameter and its bounds."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise BadRequest(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def moment(name: str) -> datetime | None:
    """Read a time in ISO 8601 with its zone. Raises BadRequest that names the parameter."""
    text = request.args.get(name)
    # A plus sign that was not escaped arrives as a space.
    return None if text is None else parsed_moment(name, text.replace(" ", "+") if "T" in text else text)


def parsed_moment(name: str, text: str) -> datetime:
    """Read a time's text as `moment` does."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"{name} must be a time in ISO 8601 with its zone, like 2026-08-06T12:44:00Z")


def choices(name: str, known: Iterable[str]) -> frozenset[str] | None:
    """Read names divided by commas, None where the parameter is absent. Raises BadRequest."""
    text = request.args.get(name)
    if text is None:
        return None
    asked = frozenset(text.split(","))
    if not asked <= {*known}:
        raise BadRequest(f"{name} must be some of {', '.join(sorted(known))}, divided by commas")
    return asked


def only(*known: str) -> None:
    """Refuse parameters that this route does not know: an answer that ignores one would be wrong."""
    for name in request.args:
        if name not in known:
            told = f"this route takes {', '.join(known)}" if known else "this route takes none"
            raise BadRequest(f"unknown parameter {name[:40]!r}: {told}")
