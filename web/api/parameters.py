"""Query parameters, read strictly: what cannot be used is named, and nothing is guessed.

What a route takes is a Struct, whose fields say by their types what each parameter may be. They are refused
here and nowhere else.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from flask import request
from msgspec import Meta, inspect
from werkzeug.exceptions import BadRequest

MOST: Final = 999_999_999
CHOICES: Final = "choices"
"""Under this name a field's `Meta` lists the texts that it takes."""

Revision = Annotated[int, Meta(ge=1, le=MOST, description="The revision whose knowledge answers.")]
Moment = Annotated[datetime, Meta(tz=True, description="A time in ISO 8601 with its zone.")]
Cursor = Annotated[int, Meta(ge=0, le=MOST, description="The last change that was seen.")]
Offset = Annotated[int, Meta(ge=0, le=MOST, description="How many to pass over.")]
PageSize = Annotated[int, Meta(ge=1, le=1000, description="How many to give at most.")]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a route may be asked: a field for each parameter, with its default."""


Q = TypeVar("Q", bound=Query)


def query(kind: type[Q], *, lenient: bool = False) -> Q:
    """Read the request's parameters. Raises BadRequest that names the first that cannot be used, and why.

    One that the route does not know is refused, because an answer that ignores it would be wrong; a `lenient`
    route ignores it, for clients that send what OpenRouter's server takes, and links with marks of their own.
    """
    fields = _fields(kind)
    for name in request.args:
        if name not in fields and not lenient:
            takes = ", ".join(fields) or "none"
            raise BadRequest(f"unknown parameter {name[:40]!r}: this route takes {takes}")
    return kind(**{name: _read(name, type_) for name, type_ in fields.items() if name in request.args})


@cache
def _fields(kind: type[Query]) -> dict[str, inspect.Type]:
    """Give the type of each field; of those that may be absent, the type of what may be there."""
    return {
        field.name: _without_none(inspect.type_info(field.type)) for field in msgspec.structs.fields(kind)
    }


def _without_none(type_: inspect.Type) -> inspect.Type:
    if isinstance(type_, inspect.UnionType):
        return next(one for one in type_.types if not isinstance(one, inspect.NoneType))
    return type_


def _read(name: str, type_: inspect.Type) -> Any:
    """Read a parameter as its type says."""
    given = request.args.getlist(name)
    if len(given) > 1:
        raise BadRequest(f"{name} is given {len(given)} times: which of them is meant?")
    [text] = given
    choices: tuple[str, ...] = ()
    if isinstance(type_, inspect.Metadata):
        choices, type_ = (type_.extra or {}).get(CHOICES, ()), type_.type
    if isinstance(type_, inspect.IntType):
        digits = text if text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) else None
        return whole_number(name, digits and int(digits), type_.ge or 0, type_.le or MOST)
    if isinstance(type_, inspect.DateTimeType):
        # A plus sign that was not escaped arrives as a space.
        return moment(name, text.replace(" ", "+") if "T" in text else text)
    if isinstance(type_, inspect.FrozenSetType):
        return _some_of(name, text, choices)
    if choices and text and text not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}")
    if isinstance(type_, inspect.StrType) and type_.max_length and len(text) > type_.max_length:
        raise BadRequest(f"{name} must be at most {type_.max_length} characters long")
    return text


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """Give a value that is a whole number within its bounds. Raises BadRequest that names it and them."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise BadRequest(f"{name} must be a whole number from {least} to {most}")


def revision(value: object) -> int:
    """Give a value that can number a revision. Raises BadRequest."""
    return whole_number("revision", value, 1, MOST)


def moment(name: str, value: object) -> datetime:
    """Read a time in ISO 8601 with its zone, as UTC. Raises BadRequest that names the parameter."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"{name} must be a time in ISO 8601 with its zone, like 2026-08-06T12:44:00Z")


def _some_of(name: str, text: str, choices: tuple[str, ...]) -> frozenset[str]:
    asked = frozenset(text.split(","))
    if not asked <= {*choices}:
        raise BadRequest(f"{name} must be some of {', '.join(sorted(choices))}, divided by commas")
    return asked
