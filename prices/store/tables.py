"""The tables. Alembic's migrations make them; this is what the code knows of them.

Prices are kept as text, because SQLite has no exact numbers. Bodies of models are kept as upstream
sent them. A price carries since when it was valid and since which revision it was our knowledge, in the
style of SQL:2011's bitemporal tables; both ends follow from what comes after.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from prices.store.column_types import UtcDateTime, Utf8

SCHEMA_HEAD = "20261125_07"
"""The migration whose tables these are; a test holds it against Alembic's own head."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

catalogue = Table(
    "catalogue",
    metadata,
    # One row, made by the migration.
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The id of the deployment, made by the migration: a random text of 16 hexadecimal digits.
    Column("deployment", String(32), nullable=False),
    # The run that holds the claim, or held it last: no other may commit.
    Column("fence", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    # The last run that confirmed the prices, and when, by the database's clock.
    Column("refreshed_run_id", Integer),
    Column("refreshed_at", UtcDateTime),
    # What upstream's envelope held beside the models, and the digest of the body last committed.
    Column("envelope", Text, nullable=False),
    Column("body_digest", String(64)),
    # When the same body may show a base price that a window hid at that time; null where it hides none.
    Column("hides_until", UtcDateTime),
)

refresh_runs = Table(
    "refresh_runs",
    metadata,
    # The row's number is the fencing token: it must never be given out twice.
    Column("id", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("outcome", String(16)),
    Column("reason", Text),
    Column("worker", String(255), nullable=False),
    # The token that the run's lock has in Redis.
    Column("token", String(600), nullable=False),
    Column("task_id", String(255)),
    Column("attempt", Integer, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    # Until when no other may begin unless it is forced, because this one failed.
    Column("retry_at", UtcDateTime),
    Column("fetch_seconds", Float),
    Column("store_seconds", Float),
    Column("received_bytes", Integer),
    Column("revision", Integer),
    Column("models", Integer),
    Column("changes", Integer),
    Column("held", Integer),
    Column("skipped_rows", Integer),
    # Which rows were skipped and why: a JSON list of at most a few dozen lines.
    Column("skipped", Text),
    Index("ix_refresh_runs_started_at", "started_at"),
    Index(
        "uq_refresh_runs_running",
        "state",
        unique=True,
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    sqlite_autoincrement=True,
)

language_models = Table(
    "language_models",
    metadata,
    Column("id", Integer, primary_key=True),
    # Upstream's id, "author/slug".
    Column("slug", String(255), nullable=False, unique=True),
    # The place in upstream's list, which clients depend on.
    Column("position", Integer, nullable=False),
    # The model's JSON exactly as upstream sent it.
    Column("document", Utf8, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    # Set on a tombstone: upstream no longer lists it.
    Column("removed_at", UtcDateTime),
)

# A price by its beginning: it was in force from then on, until the next of the model began, and was known so
# from a revision on, until one that said something else of the same time. So no row is ever written to again,
# and no two prices of a model can be in force at one time in one revision.
dated_prices = Table(
    "dated_prices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", Integer, ForeignKey("language_models.id"), nullable=False),
    # Null where the model was not listed from then on.
    Column("schedule", Text),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("revision_from", Integer, nullable=False),
    Index("uq_dated_prices_model_id", "model_id", "valid_from", "revision_from", unique=True),
)

model_attributes = Table(
    "model_attributes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", Integer, ForeignKey("language_models.id"), nullable=False),
    # Name, context length and abilities: JSON, `prices.catalogue.attributes.Attributes`.
    Column("attributes", Text, nullable=False),
    # The revisions that said so, [revision_from, revision_to), open while the newest does.
    Column("revision_from", Integer, nullable=False),
    Column("revision_to", Integer),
    Index("ix_model_attributes_model_id", "model_id", "revision_from"),
)

price_changes = Table(
    "price_changes",
    metadata,
    # The cursor of the feed: commits come one after the other, so a larger number is a later commit.
    Column("id", Integer, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("model_id", Integer, ForeignKey("language_models.id"), nullable=False),
    # One of `prices.catalogue.changes.ChangeKind`, and what of the model changed, where it was a part of it.
    Column("kind", String(32), nullable=False),
    Column("part", String(255)),
    # Upstream's text of a price, JSON of anything else.
    Column("before", Text),
    Column("after", Text),
    # Since when the new value holds.
    Column("at", UtcDateTime, nullable=False),
    Index("ix_price_changes_model_id", "model_id", "part", "id"),
    sqlite_autoincrement=True,
)

price_holds = Table(
    "price_holds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", Integer, ForeignKey("language_models.id"), nullable=False),
    Column("reason", Text, nullable=False),
    # What upstream said: a schedule, or nothing where the model had vanished.
    Column("schedule", Text),
    Column("seen_at", UtcDateTime, nullable=False),
    # The revisions in which it was held, [revision_from, revision_to), and what became of it.
    Column("revision_from", Integer, nullable=False),
    Column("revision_to", Integer),
    Column("resolution", String(16)),
    Index(
        "uq_price_holds_open",
        "model_id",
        unique=True,
        sqlite_where=text("revision_to IS NULL"),
        postgresql_where=text("revision_to IS NULL"),
    ),
)

# The models that upstream listed for the first time, among too many to be believed at once; whole each time.
held_newcomers = Table(
    "held_newcomers",
    metadata,
    Column("slug", String(255), primary_key=True),
    # What it would cost, as in `dated_prices`.
    Column("schedule", Text, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Integer, ForeignKey("refresh_runs.id"), nullable=False),
    Column("committed_at", UtcDateTime, nullable=False),
    Column("changes", Integer, nullable=False),
    # The rows of the models in upstream's order, as JSON; null where it is that of the revision before.
    Column("listing", Text),
)

received_bodies = Table(
    "received_bodies",
    metadata,
    # The body that the last run received and has not committed, packed or as a mark: `prices.refresh.stash`.
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)
