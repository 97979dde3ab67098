"""`/api/v1/changes`: the feed of what changed, behind a cursor that never skips or repeats."""

from typing import Annotated

from flask import Response
from msgspec import Meta
from sqlalchemy import Connection

from prices.catalogue.changes import QUIET, ChangeKind
from prices.catalogue.records import RecordedChange
from prices.formats import pricebeat
from prices.history import read
from web.api.parameters import CHOICES, Cursor, PageSize, Query, query
from web.api.past import Cited, newest_cited
from web.questions import ask
from web.responses import past_response

ALL = "all"
Kinds = Annotated[frozenset[str], Meta(extra={CHOICES: (*ChangeKind, ALL)}, description="Of which kinds.")]


class ChangesQuery(Query, frozen=True):
    """Which changes: those after a cursor, of some kinds, of one model."""

    since: Cursor = 0
    limit: PageSize = 100
    kind: Kinds | None = None
    model: str | None = None


def list_changes() -> Response:
    """Give the changes after the cursor `since`, the oldest first; the quiet kinds only if asked for."""
    asked = query(ChangesQuery)
    limit, kinds = asked.limit, _kinds(asked.kind)

    def changes(connection: Connection) -> tuple[Cited, list[RecordedChange]]:
        found = read.changes(connection, since=asked.since, limit=limit + 1, kinds=kinds, slug=asked.model)
        return newest_cited(connection), found

    cited, found = ask(changes)
    return past_response(pricebeat.change_list(found[:limit], asked.since, len(found) > limit), *cited)


def _kinds(asked: frozenset[str] | None) -> frozenset[ChangeKind]:
    if asked is None:
        return frozenset(ChangeKind) - QUIET
    return frozenset(ChangeKind) if ALL in asked else frozenset(map(ChangeKind, asked))
