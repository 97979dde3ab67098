"""A database says which deployment it is that of.

The database makes the id, so SQL that was printed and is run by hand gives each database its own.

Revision ID: 20261125_07
Revises: 20261125_06
"""

import sqlalchemy as sa
from alembic import op

revision = "20261125_07"
down_revision = "20261125_06"
branch_labels = None
depends_on = None

_NEW_ID = {
    "sqlite": "lower(hex(randomblob(8)))",
    "postgresql": "substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 1, 16)",
}


def upgrade() -> None:
    op.add_column(
        "catalogue", sa.Column("deployment", sa.String(32), nullable=False, server_default="unknown")
    )
    catalogue = sa.table("catalogue", sa.column("deployment", sa.String))
    op.execute(sa.update(catalogue).values(deployment=sa.text(_NEW_ID[op.get_context().dialect.name])))


def downgrade() -> None:
    op.drop_column("catalogue", "deployment")
