"""The catalogue, refresh runs, models, price intervals, revisions and the stash.

Revision ID: 20261121_01
Revises:
"""

import sqlalchemy as sa
from alembic import op

from prices.store.column_types import UtcDateTime

revision = "20261121_01"
down_revision = None
branch_labels = None
depends_on = None

RUNNING = sa.text("state = 'running'")
CURRENT = sa.text("valid_to IS NULL AND revision_to IS NULL")


def upgrade() -> None:
    catalogue = op.create_table(
        "catalogue",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("refreshed_run_id", sa.Integer),
        sa.Column("refreshed_at", UtcDateTime),
        sa.Column("envelope", sa.Text, nullable=False),
        sa.Column("body_digest", sa.String(64)),
        sa.CheckConstraint("id = 1", name="ck_catalogue_one_row"),
    )
    op.bulk_insert(catalogue, [{"id": 1, "fence": 0, "revision": 0, "envelope": "{}"}])
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
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("heartbeat_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
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
        sa.Column("first_seen_at", UtcDateTime, nullable=False),
        sa.Column("removed_at", UtcDateTime),
    )
    op.create_table(
        "price_intervals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("valid_to", UtcDateTime),
        sa.Column("revision_from", sa.Integer, nullable=False),
        sa.Column("revision_to", sa.Integer),
    )
    op.create_index("ix_price_intervals_model_id", "price_intervals", ["model_id", "valid_from"])
    op.create_index(
        "uq_price_intervals_current",
        "price_intervals",
        ["model_id"],
        unique=True,
        sqlite_where=CURRENT,
        postgresql_where=CURRENT,
    )
    op.create_table(
        "revisions",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("refresh_runs.id"), nullable=False),
        sa.Column("committed_at", UtcDateTime, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
    )
    op.create_table(
        "received_bodies",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "received_bodies",
        "revisions",
        "price_intervals",
        "language_models",
        "refresh_runs",
        "catalogue",
    ):
        op.drop_table(table)
