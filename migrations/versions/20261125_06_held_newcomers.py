"""New models that come in too great a number are held.

Revision ID: 20261125_06
Revises: 20261125_05
"""

import sqlalchemy as sa
from alembic import op

from prices.store.column_types import UtcDateTime

revision = "20261125_06"
down_revision = "20261125_05"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_newcomers",
        sa.Column("slug", sa.String(255), nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_held_newcomers"),
    )


def downgrade() -> None:
    op.drop_table("held_newcomers")
