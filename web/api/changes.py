"""`/api/v1/changes`: the feed of what changed, behind a cursor that never skips or repeats."""

from flask import Response
from sqlalchemy import Connection

from prices.catalogue.changes import QUIET, ChangeKind
from prices.catalogue.records import KnownChange
from prices.formats import pricebeat
from prices.history import read
from prices.store.queries import catalogue_state
from web.api.parameters import choices, only, text, whole_number
from web.questions import ask
from web.responses import past_response

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
ALL = "all"


def list_changes() -> Response:
    """Give the changes after the cursor `since`, the oldest first; the quiet kinds only if asked for."""
    only("since", "limit", "kind", "model")
    since = whole_number("since", 0, 0, 999_999_999)
    limit = whole_number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    kinds = _kinds(choices("kind", (*ChangeKind, ALL)))
    model = text("model")

    def changes(connection: Connection) -> tuple[int, list[KnownChange]]:
        found = read.changes(connection, since=since, limit=limit + 1, kinds=kinds, slug=model)
        return catalogue_state(connection).revision, found

    revision, found = ask(changes)
    return past_response(pricebeat.change_list(found[:limit], since, len(found) > limit), revision)


def _kinds(asked: frozenset[str] | None) -> frozenset[ChangeKind]:
    if asked is None:
        return frozenset(ChangeKind) - QUIET
    return frozenset(ChangeKind) if ALL in asked else frozenset(map(ChangeKind, asked))
