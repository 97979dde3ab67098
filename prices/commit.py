"""The commit of a refresh: everything in one transaction that a superseded run cannot pass."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, literal, select, update

from prices import queries
from prices.changes import CatalogueDiff, compare
from prices.database import UtcDateTime, utc_now, writing
from prices.errors import ClaimLostError
from prices.language_model import LanguageModel
from prices.models import catalogue, language_models, price_intervals, received_bodies, revisions
from prices.openrouter import OpenRouterList
from prices.runs import finish_run, pass_fence

MAX_NAMED_ROWS = 50
"""How many skipped rows a run names; the count is always whole."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a commit wrote."""

    revision: int
    models: int
    changes: int
    held: int
    skipped_rows: int


def commit(
    engine: Engine, run_id: int, listed: OpenRouterList, body: bytes, age: timedelta, fetch_seconds: float
) -> Counts:
    """Compare upstream's list with the catalogue and write what changed, as the next revision.

    `age` is how long ago the body was received: the prices are confirmed as of then, and valid from then on,
    though never from before the last revision. A body already known moves only the time.
    Raises ClaimLostError, with nothing written, when another run has taken over.
    """
    began = time.monotonic()
    digest = hashlib.sha256(body).hexdigest()
    with writing(engine) as connection:
        known = pass_fence(connection, run_id)
        now = utc_now(connection)
        diff = CatalogueDiff()
        if known.body_digest != digest:
            stored = {price.model.slug: price.model for price in queries.current_prices(connection)}
            diff = compare(stored, queries.tombstones(connection), listed, now - age)
        moved = not diff.is_empty or msgspec.json.decode(known.envelope) != listed.envelope
        revision = known.revision + moved
        if moved:
            last = connection.scalar(select(func.max(revisions.c.committed_at)))
            _write_diff(connection, diff, revision, run_id, max(now - age, last or now - age))
        connection.execute(
            update(catalogue).values(
                revision=revision,
                refreshed_run_id=run_id,
                refreshed_at=now - age,
                envelope=msgspec.json.encode(listed.envelope).decode(),
                body_digest=digest,
            )
        )
        connection.execute(delete(received_bodies))
        counts = Counts(revision, len(listed.models), diff.changes, 0, len(listed.skipped))
        closed = finish_run(
            connection,
            run_id,
            now,
            outcome="refreshed",
            reason=None,
            fetch_seconds=fetch_seconds,
            store_seconds=round(time.monotonic() - began, 3),
            received_bytes=len(body),
            skipped=msgspec.json.encode([str(row) for row in listed.skipped[:MAX_NAMED_ROWS]]).decode(),
            **asdict(counts),
        )
        if not closed:
            raise ClaimLostError("claim lost: the run was closed by another")
    return counts


def _write_diff(
    connection: Connection, diff: CatalogueDiff, revision: int, run_id: int, now: datetime
) -> None:
    _add_models(connection, diff.added, now)
    _update_models(connection, (*diff.returned, *diff.repriced, *diff.edited))
    _remove_models(connection, diff.removed, now)
    _close_intervals(connection, (*diff.repriced, *diff.removed), revision, now)
    _open_intervals(connection, (*diff.added, *diff.returned, *diff.repriced), revision, now)
    connection.execute(
        insert(revisions).values(revision=revision, run_id=run_id, committed_at=now, changes=diff.changes)
    )


def _add_models(connection: Connection, models: Iterable[LanguageModel], now: datetime) -> None:
    rows = [
        {
            "slug": model.slug,
            "position": model.position,
            "document": model.document.decode(),
            "first_seen_at": now,
        }
        for model in models
    ]
    if rows:
        connection.execute(insert(language_models), rows)


def _update_models(connection: Connection, models: Iterable[LanguageModel]) -> None:
    rows = [
        {"row": model.row_id, "new_position": model.position, "new_document": model.document.decode()}
        for model in models
    ]
    if rows:
        connection.execute(
            update(language_models)
            .where(language_models.c.id == bindparam("row"))
            .values(position=bindparam("new_position"), document=bindparam("new_document"), removed_at=None),
            rows,
        )


def _remove_models(connection: Connection, models: Iterable[LanguageModel], now: datetime) -> None:
    rows = [{"row": model.row_id} for model in models]
    if rows:
        connection.execute(
            update(language_models).where(language_models.c.id == bindparam("row")).values(removed_at=now),
            rows,
        )


def _close_intervals(
    connection: Connection, models: tuple[LanguageModel, ...], revision: int, now: datetime
) -> None:
    """End the open intervals: up to `revision` we knew them open, from it on we know their end."""
    interval = price_intervals.c
    for rows in _batches([model.row_id for model in models]):
        still_open = (
            interval.model_id.in_(rows),
            interval.valid_to.is_(None),
            interval.revision_to.is_(None),
        )
        ended = select(
            interval.model_id,
            interval.schedule,
            interval.valid_from,
            literal(now, UtcDateTime()),
            literal(revision),
        ).where(*still_open)
        columns = ["model_id", "schedule", "valid_from", "valid_to", "revision_from"]
        connection.execute(insert(price_intervals).from_select(columns, ended))
        connection.execute(update(price_intervals).where(*still_open).values(revision_to=revision))


def _open_intervals(
    connection: Connection, models: tuple[LanguageModel, ...], revision: int, now: datetime
) -> None:
    if not models:
        return
    ids: dict[str, int] = {}
    for slugs in _batches([model.slug for model in models if model.row_id is None]):
        found = connection.execute(
            select(language_models.c.slug, language_models.c.id).where(language_models.c.slug.in_(slugs))
        )
        ids |= {row.slug: row.id for row in found}
    connection.execute(
        insert(price_intervals),
        [
            {
                "model_id": model.row_id or ids[model.slug],
                "schedule": model.schedule.to_json(),
                "valid_from": now,
                "revision_from": revision,
            }
            for model in models
        ],
    )


def _batches(values: list[Any]) -> Iterator[list[Any]]:
    """Cut a list to what one statement may carry."""
    for start in range(0, len(values), 500):
        yield values[start : start + 500]
