"""The catalogue says until when its body hides the same base prices.

Revision ID: 20261125_04
Revises: 20261122_03
"""

import sqlalchemy as sa
from alembic import op

from prices.store.column_types import UtcDateTime

revision = "20261125_04"
down_revision = "20261122_03"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("catalogue", sa.Column("hides_until", UtcDateTime))


def downgrade() -> None:
    op.drop_column("catalogue", "hides_until")
