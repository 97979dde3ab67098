"""A received body that could not be stashed in Redis.

Revision ID: 20261121_02
Revises: 20261121_01
"""

import sqlalchemy as sa
from alembic import op

from prices.database import UtcDateTime

revision = "20261121_02"
down_revision = "20261121_01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "received_bodies",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("received_bodies")
