"""All tables, as the first release has them.

It has the number of the last step on the way there, so a database of that time goes on. It imports nothing of
the product, which changes; this must not.

Revision ID: 20261125_07
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "20261125_07"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
RUNNING = sa.text("state = 'running'")
OPEN = sa.text("revision_to IS NULL")

# The database makes the id of the deployment, so printed SQL gives each database an id of its own.
NEW_ID = {
    "sqlite": "lower(hex(randomblob(8)))",
    "postgresql": "substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 1, 16)",
}


def upgrade() -> None:
    catalogue = op.create_table(
        "catalogue",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deployment", sa.String(32), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("refreshed_run_id", sa.Integer),
        sa.Column("refreshed_at", TIME),
        sa.Column("envelope", sa.Text, nullable=False),
        sa.Column("body_digest", sa.String(64)),
        sa.Column("hides_until", TIME),
        sa.CheckConstraint("id = 1", name="ck_catalogue_one_row"),
    )
    new_id = sa.text(NEW_ID[op.get_context().dialect.name])
    op.execute(sa.insert(catalogue).values(id=1, deployment=new_id, fence=0, revision=0, envelope="{}"))
    op.create_table(
        "refresh_runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("token", sa.String(600), nullable=False),
        sa.Column("task_id", sa.String(255)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("retry_at", TIME),
        sa.Column("fetch_seconds", sa.Float),
        sa.Column("store_seconds", sa.Float),
        sa.Column("received_bytes", sa.Integer),
        sa.Column("revision", sa.Integer),
        sa.Column("models", sa.Integer),
        sa.Column("changes", sa.Integer),
        sa.Column("held", sa.Integer),
        sa.Column("skipped_rows", sa.Integer),
        sa.Column("skipped", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refresh_runs_started_at", "refresh_runs", ["started_at"])
    op.create_index(
        "uq_refresh_runs_running",
        "refresh_runs",
        ["state"],
        unique=True,
        sqlite_where=RUNNING,
        postgresql_where=RUNNING,
    )
    op.create_table(
        "language_models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("slug", sa.String(255), nullable=False, unique=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("removed_at", TIME),
    )
    if op.get_context().dialect.name == "postgresql":
        # A document is written and read as a whole: to compress it takes longer than to store it.
        op.execute("ALTER TABLE language_models ALTER COLUMN document SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE language_models SET (fillfactor = 50)")
    op.create_table(
        "dated_prices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("schedule", sa.Text),
        sa.Column("valid_from", TIME, nullable=False),
        sa.Column("revision_from", sa.Integer, nullable=False),
    )
    op.create_index(
        "uq_dated_prices_model_id",
        "dated_prices",
        ["model_id", "valid_from", "revision_from"],
        unique=True,
    )
    op.create_table(
        "model_attributes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("revision_from", sa.Integer, nullable=False),
        sa.Column("revision_to", sa.Integer),
    )
    op.create_index("ix_model_attributes_model_id", "model_attributes", ["model_id", "revision_from"])
    op.create_table(
        "revisions",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("refresh_runs.id"), nullable=False),
        sa.Column("committed_at", TIME, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("listing", sa.Text),
    )
    # A change names its revision without a foreign key, as prices and attributes do: PostgreSQL would look
    # for the revision's row as often as it has changes.
    op.create_table(
        "price_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("part", sa.String(255)),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("at", TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_price_changes_model_id", "price_changes", ["model_id", "part", "id"])
    op.create_table(
        "price_holds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("schedule", sa.Text),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("revision_from", sa.Integer, nullable=False),
        sa.Column("revision_to", sa.Integer),
        sa.Column("resolution", sa.String(16)),
    )
    op.create_index(
        "uq_price_holds_open",
        "price_holds",
        ["model_id"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_table(
        "held_newcomers",
        sa.Column("slug", sa.String(255), primary_key=True),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
    )
    op.create_table(
        "received_bodies",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "received_bodies",
        "held_newcomers",
        "price_holds",
        "price_changes",
        "revisions",
        "model_attributes",
        "dated_prices",
        "language_models",
        "refresh_runs",
        "catalogue",
    ):
        op.drop_table(table)
