"""A failed run says when the next may begin.

A release from before leaves the column empty and tries again by itself.

Revision ID: 20261125_05
Revises: 20261125_04
"""

import sqlalchemy as sa
from alembic import op

from prices.store.column_types import UtcDateTime

revision = "20261125_05"
down_revision = "20261125_04"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refresh_runs", sa.Column("retry_at", UtcDateTime))


def downgrade() -> None:
    op.drop_column("refresh_runs", "retry_at")
