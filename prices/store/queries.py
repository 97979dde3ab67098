"""What readers ask the database: the catalogue as it is now, its state, and the runs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, bindparam, or_, select, text

from prices.catalogue.differences import Hold, Newcomer
from prices.catalogue.model import LanguageModel
from prices.errors import SchemaBehindError
from prices.pricing.schedule import PriceSchedule
from prices.store.bulk import batches
from prices.store.commits import commit_id
from prices.store.database import DatabaseClock, reading
from prices.store.tables import (
    SCHEMA_HEAD,
    catalogue,
    dated_prices,
    held_newcomers,
    language_models,
    price_holds,
    refresh_runs,
    revisions,
)

AT_ONCE = 500
"""How many rows with a model's JSON are taken from the database at a time."""

# Made once: to build a statement takes longer than to run it.
_OPEN_HOLDS = select(price_holds.c.id).where(price_holds.c.revision_to.is_(None))
_IS_HOLDING = or_(_OPEN_HOLDS.exists(), select(held_newcomers.c.slug).exists())
_REFRESHED_BY = select(refresh_runs.c.token).where(refresh_runs.c.id == catalogue.c.refreshed_run_id)
_REVISED_BY = (
    select(refresh_runs.c.token)
    .join_from(revisions, refresh_runs, refresh_runs.c.id == revisions.c.run_id)
    .where(revisions.c.revision == catalogue.c.revision)
)
_CATALOGUE = select(
    catalogue,
    _IS_HOLDING.label("is_holding"),
    DatabaseClock().label("now"),
    _REFRESHED_BY.scalar_subquery().label("refreshed_by"),
    _REVISED_BY.scalar_subquery().label("revised_by"),
)
_DEPLOYMENT = select(catalogue.c.deployment)
_LAST_RUN = select(refresh_runs).order_by(refresh_runs.c.id.desc()).limit(1)
_TOMBSTONES = select(language_models.c.slug, language_models.c.id).where(
    language_models.c.removed_at.isnot(None)
)
_CURRENT_PRICE = (
    select(dated_prices.c.schedule)
    .where(dated_prices.c.model_id == language_models.c.id)
    .order_by(dated_prices.c.valid_from.desc(), dated_prices.c.revision_from.desc())
    .limit(1)
    .scalar_subquery()
)
_LISTED_MODELS = (
    select(
        language_models.c.slug,
        language_models.c.position,
        language_models.c.document,
        _CURRENT_PRICE,
        language_models.c.id,
    )
    .where(language_models.c.removed_at.is_(None))
    .order_by(language_models.c.position, language_models.c.slug)
    .execution_options(yield_per=AT_ONCE)
)
_LAST_PRICE = (
    select(dated_prices.c.schedule)
    .where(dated_prices.c.model_id == language_models.c.id, dated_prices.c.schedule.isnot(None))
    .order_by(dated_prices.c.valid_from.desc(), dated_prices.c.revision_from.desc())
    .limit(1)
    .scalar_subquery()
)
_VANISHED_MODELS = select(
    language_models.c.slug,
    language_models.c.position,
    language_models.c.document,
    _LAST_PRICE,
    language_models.c.id,
).where(language_models.c.id.in_(bindparam("ids", expanding=True)))
_DOCUMENTS = (
    select(language_models.c.document)
    .where(language_models.c.removed_at.is_(None))
    .order_by(language_models.c.position, language_models.c.slug)
    .execution_options(yield_per=AT_ONCE)
)
_HOLDS = (
    select(price_holds, language_models.c.slug)
    .join(language_models, language_models.c.id == price_holds.c.model_id)
    .where(price_holds.c.revision_to.is_(None))
)
_NEWCOMERS = select(held_newcomers)
_RUN = select(refresh_runs).where(refresh_runs.c.id == bindparam("run"))
_SCHEMA = text("SELECT version_num FROM alembic_version")
RUN_COLUMNS = tuple(column.name for column in refresh_runs.columns)


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """The catalogue's one row, whether anything is held, and `now` by the database's clock.

    From `hides_until` on, the body that was committed last may show base prices that a window hid before.
    `refresh_commit` names the commit that confirmed the prices last, `revision_commit` that of the revision.
    """

    revision: int
    refreshed_at: datetime | None
    refreshed_run_id: int | None
    envelope: dict[str, Any]
    body_digest: str | None
    hides_until: datetime | None
    is_holding: bool
    now: datetime
    deployment: str
    refresh_commit: str = ""
    revision_commit: str = ""

    def is_what(self, digest: str) -> bool:
        """Whether the catalogue is what the body of this digest says, and nothing of it is held."""
        return self.body_digest == digest and not self.is_holding

    def learns_nothing_from(self, digest: str, at: datetime | None) -> bool:
        """Whether the body of this digest, received at a UTC time (None: now), confirms and adds nothing."""
        shown = self.hides_until is not None and (at or self.now) >= self.hides_until
        return self.is_what(digest) and not shown


def catalogue_state(connection: Connection) -> CatalogueState:
    """Read the catalogue's row."""
    row = connection.execute(_CATALOGUE).one()
    return CatalogueState(
        row.revision,
        row.refreshed_at,
        row.refreshed_run_id,
        msgspec.json.decode(row.envelope),
        row.body_digest,
        row.hides_until,
        bool(row.is_holding),
        row.now,
        row.deployment,
        commit_id(row.refreshed_by),
        commit_id(row.revised_by),
    )


def deployment_of(engine: Engine) -> str:
    """Ask a database which deployment it is that of. Raises DatabaseUnavailableError or SchemaBehindError."""
    with reading(engine) as connection:
        told: str = connection.execute(_DEPLOYMENT).scalar_one()
    return told


def tombstones(connection: Connection) -> dict[str, int]:
    """Read the rows of the models that upstream no longer lists, by slug."""
    return {row.slug: row.id for row in connection.execute(_TOMBSTONES)}


def vanished_models(connection: Connection, slugs: Collection[str]) -> dict[str, LanguageModel]:
    """Read those models of `slugs` that upstream no longer listed, by slug, with the last price of each."""
    ids = [row_id for slug, row_id in tombstones(connection).items() if slug in slugs]
    return {
        slug: LanguageModel(slug, position, document, PriceSchedule.from_json(schedule), row_id)
        for batch in batches(ids)
        for slug, position, document, schedule, row_id in connection.execute(_VANISHED_MODELS, {"ids": batch})
    }


def listed_models(connection: Connection) -> Iterator[LanguageModel]:
    """Read the models that upstream lists, in upstream's order, a few at a time."""
    for slug, position, document, schedule, row_id in connection.execute(_LISTED_MODELS):
        yield LanguageModel(slug, position, document, PriceSchedule.from_json(schedule), row_id)


def documents(connection: Connection) -> list[bytes]:
    """Read upstream's JSON of each model that it lists, in its order."""
    return list(connection.scalars(_DOCUMENTS))


def holds(connection: Connection) -> dict[str, Hold]:
    """Read what is held now, by slug."""
    return {
        row.slug: Hold(
            row.slug,
            row.model_id,
            row.reason,
            PriceSchedule.from_json(row.schedule) if row.schedule else None,
            row.seen_at,
        )
        for row in connection.execute(_HOLDS)
    }


def newcomers(connection: Connection) -> dict[str, Newcomer]:
    """Read the new models that are held now, by slug."""
    return {row.slug: Newcomer(*row) for row in connection.execute(_NEWCOMERS)}


def last_run(connection: Connection) -> Row[Any] | None:
    """Read the run that started last."""
    return connection.execute(_LAST_RUN).one_or_none()


def run(connection: Connection, run_id: int) -> Row[Any]:
    """Read a run that is there."""
    return connection.execute(_RUN, {"run": run_id}).one()


def require_schema(connection: Connection) -> None:
    """Raise SchemaBehindError unless the tables are those of this version, or of a later one.

    Migrations are dated and linear, so their names are in order; a later release may have migrated
    already while this version still runs beside it.
    """
    found = connection.scalar(_SCHEMA)
    if found is None or found < SCHEMA_HEAD:
        raise SchemaBehindError(
            f"the database is at {found}, this version needs {SCHEMA_HEAD}: run python deploy_migrations.py"
        )


def describe_run(run: Row[Any]) -> dict[str, Any]:
    """Tell of a run as every door shows it; times as ISO 8601 UTC."""
    told = {name: getattr(run, name) for name in RUN_COLUMNS if name not in ("id", "skipped", "token")}
    times = ("started_at", "heartbeat_at", "finished_at", "retry_at")
    return {
        "run_id": run.id,
        **told,
        **{name: told[name] and told[name].isoformat() for name in times},
        "skipped": msgspec.json.decode(run.skipped) if run.skipped else [],
    }
