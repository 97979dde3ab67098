"""Whose knowledge answers a question about the past."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection
from werkzeug.exceptions import BadRequest, NotFound

from prices.store.commits import commit_of
from prices.store.database import utc_now
from prices.store.queries import catalogue_state


class Cited(NamedTuple):
    """The revision that an answer cites, and the commit that made it: of two pasts each has its own."""

    revision: int
    commit: str


def newest_cited(connection: Connection) -> Cited:
    """Give the newest revision."""
    state = catalogue_state(connection)
    return Cited(state.revision, state.revision_commit)


def answering_revision(connection: Connection, at: datetime | None, revision: int | None) -> Cited:
    """Give the revision that is asked, the newest where none is named.

    Raises NotFound for one that is not there yet, BadRequest for a time that has not come yet.
    """
    newest = newest_cited(connection)
    if revision is not None and revision > newest.revision:
        raise NotFound(f"revision {revision} is not there yet, the newest is {newest.revision}")
    if at is not None and at > utc_now(connection):
        raise BadRequest("at lies in the future: what a price will be is not known")
    return newest if revision is None else Cited(revision, commit_of(connection, revision))
