"""Query parameters, read strictly: what cannot be used is named, and nothing is guessed."""

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


def only(*known: str) -> None:
    """Refuse parameters that this route does not know: an answer that ignores one would be wrong."""
    for name in request.args:
        if name not in known:
            told = f"this route takes {', '.join(known)}" if known else "this route takes none"
            raise BadRequest(f"unknown parameter {name[:40]!r}: {told}")
