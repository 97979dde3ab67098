"""Whose knowledge answers a question about the past."""

from datetime import datetime

from sqlalchemy import Connection
from werkzeug.exceptions import BadRequest, NotFound

from prices.store.database import utc_now
from prices.store.queries import catalogue_state


def answering_revision(connection: Connection, at: datetime | None, revision: int | None) -> int:
    """Give the revision that is asked, the newest where none is named.

    Raises NotFound for one that is not there yet, BadRequest for a time that has not come yet.
    """
    newest = catalogue_state(connection).revision
    if revision is not None and revision > newest:
        raise NotFound(f"revision {revision} is not there yet, the newest is {newest}")
    if at is not None and at > utc_now(connection):
        raise BadRequest("at lies in the future: what a price will be is not known")
    return newest if revision is None else revision
