"""Bitemporal history: attributes per revision, changes, holds, the order of each list; no overlaps.

Revision ID: 20261121_02
Revises: 20261121_01
"""

import msgspec
import sqlalchemy as sa
from alembic import op

from prices.catalogue.attributes import Attributes
from prices.store.column_types import UtcDateTime

revision = "20261121_02"
down_revision = "20261121_01"
branch_labels = None
depends_on = None

OPEN = sa.text("revision_to IS NULL")

# Ranges of one number stand for the number: GiST compares plain integers only with an extension. An
# interval that ends where it begins is empty and overlaps nothing. Checked at the end of the transaction.
EXCLUDE = """
ALTER TABLE price_intervals ADD CONSTRAINT ex_price_intervals_no_overlap EXCLUDE USING gist (
    int4range(model_id, model_id, '[]') WITH &&,
    int4range(revision_from, revision_to) WITH &&,
    tstzrange(valid_from, valid_to) WITH &&
) DEFERRABLE INITIALLY DEFERRED
"""
ACTS = ("insert", "update")
# The end of an open interval must not look like a number: SQLite would compare it as one, before any text.
TRIGGER = """
CREATE TRIGGER price_intervals_no_overlap_{act} BEFORE {act} ON price_intervals
WHEN EXISTS (
    SELECT 1 FROM price_intervals other WHERE other.model_id = NEW.model_id AND other.id IS NOT NEW.id
    AND other.valid_from < coalesce(NEW.valid_to, '9999-12-31')
    AND NEW.valid_from < coalesce(other.valid_to, '9999-12-31')
    AND other.revision_from < coalesce(NEW.revision_to, 9e18)
    AND NEW.revision_from < coalesce(other.revision_to, 9e18)
    AND coalesce(other.valid_to, '9999-12-31') > other.valid_from
    AND coalesce(NEW.valid_to, '9999-12-31') > NEW.valid_from
)
BEGIN SELECT RAISE(ABORT, 'two prices of one model at one time'); END
"""


def upgrade() -> None:
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
        "price_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Integer, sa.ForeignKey("revisions.revision"), nullable=False),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("part", sa.String(255)),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("reverts", sa.Integer),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_price_changes_model_id", "price_changes", ["model_id", "at"])
    op.create_table(
        "price_holds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("schedule", sa.Text),
        sa.Column("seen_at", UtcDateTime, nullable=False),
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
    op.add_column("revisions", sa.Column("listing", sa.Text))
    refuse_overlaps()
    if not op.get_context().as_sql:
        _describe_known_models()


def refuse_overlaps() -> None:
    """Let the database refuse two prices of one model at one time; a later migration back does so again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(EXCLUDE)
    else:
        for act in ACTS:
            op.execute(TRIGGER.format(act=act))


def _describe_known_models() -> None:
    """Write the attributes of models that are known already, as of the first revision, and their order."""
    connection = op.get_bind()
    known = "SELECT id, slug, document, removed_at FROM language_models ORDER BY position, slug"
    models = connection.execute(sa.text(known)).all()
    rows = [
        {"model": row.id, "attributes": Attributes.of(row.slug, row.document.encode()).to_json()}
        for row in models
    ]
    if rows:
        columns = "(model_id, attributes, revision_from) VALUES (:model, :attributes, 1)"
        connection.execute(sa.text(f"INSERT INTO model_attributes {columns}"), rows)
    listing = msgspec.json.encode([row.id for row in models if row.removed_at is None]).decode()
    newest = "WHERE revision = (SELECT max(revision) FROM revisions)"
    connection.execute(
        sa.text(f"UPDATE revisions SET listing = :listing {newest}"),  # noqa: S608
        {"listing": listing},
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE price_intervals DROP CONSTRAINT ex_price_intervals_no_overlap")
    else:
        for act in ACTS:
            op.execute(f"DROP TRIGGER price_intervals_no_overlap_{act}")
    op.drop_column("revisions", "listing")
    for table in ("price_holds", "price_changes", "model_attributes"):
        op.drop_table(table)
