"""Commits by a name of their own, which tells two pasts of a database apart."""

import hashlib

from sqlalchemy import Connection, bindparam, select

from prices.store.tables import refresh_runs, revisions

_TOKEN = select(refresh_runs.c.token).where(refresh_runs.c.id == bindparam("run"))
_COMMITTED_BY = (
    select(refresh_runs.c.token)
    .join_from(revisions, refresh_runs, refresh_runs.c.id == revisions.c.run_id)
    .where(revisions.c.revision == bindparam("number"))
)


def commit_id(token: str | None) -> str:
    """Name a commit by its run's token, which no other run has and nobody need see; empty for none.

    A database that was restored from a backup gives the numbers of runs and revisions out again, to others.
    """
    return "" if token is None else hashlib.blake2b(token.encode(), digest_size=8).hexdigest()


def commit_of(connection: Connection, revision: int) -> str:
    """Name the commit that made a revision; empty for none."""
    return commit_id(connection.scalar(_COMMITTED_BY, {"number": revision}))


def knows_commit(connection: Connection, run: int, commit: str) -> bool:
    """Whether a run of this number made this commit, by this database's history. The empty one is known."""
    return not commit or commit_id(connection.scalar(_TOKEN, {"run": run})) == commit
