"""Prices by their beginning: one row where three stood; what a change undoes is told when it is read.

A change names its revision without a foreign key, as prices and attributes do: PostgreSQL would look for the
revision's row as often as it has changes.

A release that came before reads on: the table that it knows is a view now, and the column `reverts` stays,
no longer written; both go with a later migration. It cannot write: its refresh fails whole, and the next one
uses the body that it received.

Revision ID: 20261122_03
Revises: 20261121_02
"""

import sqlalchemy as sa
from alembic import op

from prices.store.column_types import UtcDateTime

revision = "20261122_03"
down_revision = "20261121_02"
branch_labels = None
depends_on = None

REVISION_KEY = "fk_price_changes_revision_revisions"
CURRENT = sa.text("valid_to IS NULL AND revision_to IS NULL")

BEGINNINGS = """
INSERT INTO dated_prices (model_id, schedule, valid_from, revision_from)
SELECT model_id, schedule, valid_from, revision_from FROM price_intervals said
WHERE (valid_to IS NULL OR valid_to > valid_from) AND NOT EXISTS (
    SELECT 1 FROM price_intervals before
    WHERE before.model_id = said.model_id AND before.valid_from = said.valid_from
    AND before.schedule = said.schedule AND before.revision_to = said.revision_from
) ORDER BY revision_from, id
"""
# A price that ended and that no other followed: the model was not listed from then on. The first release also
# wrote intervals that end where they begin, which say nothing.
ENDS = """
INSERT INTO dated_prices (model_id, schedule, valid_from, revision_from)
SELECT model_id, NULL, valid_to, revision_from FROM price_intervals ended
WHERE valid_to > valid_from AND NOT EXISTS (
    SELECT 1 FROM price_intervals following
    WHERE following.model_id = ended.model_id AND following.valid_from = ended.valid_to
    AND (following.valid_to IS NULL OR following.valid_to > following.valid_from)
    AND following.revision_from <= ended.revision_from
    AND (following.revision_to IS NULL OR following.revision_to > ended.revision_from)
) ORDER BY revision_from, id
"""
# A price that turned out never to have been in force: the model went at the time at which it began.
TAKEN_BACK = """
INSERT INTO dated_prices (model_id, schedule, valid_from, revision_from)
SELECT model_id, NULL, valid_from, revision_to FROM price_intervals unsaid
WHERE revision_to IS NOT NULL AND (valid_to IS NULL OR valid_to > valid_from) AND NOT EXISTS (
    SELECT 1 FROM price_intervals instead
    WHERE instead.model_id = unsaid.model_id AND instead.valid_from = unsaid.valid_from
    AND (instead.valid_to IS NULL OR instead.valid_to > instead.valid_from)
    AND instead.revision_from = unsaid.revision_to
) ORDER BY revision_to, id
"""
# `ends_at` is when another price began, `ended_in` the revision that first said so, `unsaid_in` the one that
# said something else of the same time.
SAID = """
WITH said AS (
    SELECT model_id, schedule, valid_from, revision_from,
    lead(revision_from) OVER (PARTITION BY model_id, valid_from ORDER BY revision_from) AS unsaid_in,
    (SELECT min(later.valid_from) FROM dated_prices later
     WHERE later.model_id = this.model_id AND later.valid_from > this.valid_from) AS ends_at,
    (SELECT min(later.revision_from) FROM dated_prices later
     WHERE later.model_id = this.model_id AND later.valid_from > this.valid_from) AS ended_in
    FROM dated_prices this
)
"""
COLUMNS = "(model_id, schedule, valid_from, valid_to, revision_from, revision_to)"
INTERVALS = """
SELECT model_id, schedule, valid_from, ends_at,
CASE WHEN ended_in > revision_from THEN ended_in ELSE revision_from END, unsaid_in
FROM said WHERE schedule IS NOT NULL AND ended_in < coalesce(unsaid_in, 2147483647)
UNION ALL
SELECT model_id, schedule, valid_from, NULL, revision_from,
CASE WHEN ended_in < coalesce(unsaid_in, 2147483647) THEN ended_in ELSE unsaid_in END
FROM said WHERE schedule IS NOT NULL AND revision_from < coalesce(ended_in, 2147483647)
"""


def upgrade() -> None:
    _keep_others_out("price_intervals")
    op.create_table(
        "dated_prices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("schedule", sa.Text),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("revision_from", sa.Integer, nullable=False),
    )
    op.create_index(
        "uq_dated_prices_model_id",
        "dated_prices",
        ["model_id", "valid_from", "revision_from"],
        unique=True,
    )
    for words in (BEGINNINGS, ENDS, TAKEN_BACK):
        op.execute(words)
    op.drop_table("price_intervals")
    op.drop_index("ix_price_changes_model_id", "price_changes")
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(REVISION_KEY, "price_changes", type_="foreignkey")
        # A document is written and read as a whole: to compress it takes longer than to store it.
        op.execute("ALTER TABLE language_models ALTER COLUMN document SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE language_models SET (fillfactor = 50)")
    else:
        _make_changes_anew(sa.Column("revision", sa.Integer, nullable=False))
    op.create_index("ix_price_changes_model_id", "price_changes", ["model_id", "part", "id"])
    op.execute(f"CREATE VIEW price_intervals {COLUMNS} AS {SAID} {INTERVALS}")


def _keep_others_out(prices: str) -> None:
    """Lock what is altered in the order in which it is read, lest a reader and this wait for each other."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"LOCK TABLE language_models, {prices}, price_changes IN ACCESS EXCLUSIVE MODE")


def _make_changes_anew(revision: "sa.Column[int]") -> None:
    """Make the table anew with what it holds: SQLite takes no foreign key from a table that is there."""
    op.rename_table("price_changes", "old_price_changes")
    op.create_table(
        "price_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        revision,
        sa.Column("model_id", sa.Integer, sa.ForeignKey("language_models.id"), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("part", sa.String(255)),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("reverts", sa.Integer),
        sqlite_autoincrement=True,
    )
    kept = 'id, revision, model_id, kind, part, "before", "after", at, reverts'
    op.execute(f"INSERT INTO price_changes ({kept}) SELECT {kept} FROM old_price_changes")  # noqa: S608
    op.drop_table("old_price_changes")


def downgrade() -> None:
    _keep_others_out("dated_prices")
    op.execute("DROP VIEW price_intervals")
    op.drop_index("ix_price_changes_model_id", "price_changes")
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE language_models ALTER COLUMN document SET STORAGE EXTENDED")
        op.create_foreign_key(REVISION_KEY, "price_changes", "revisions", ["revision"], ["revision"])
    else:
        known = sa.Column("revision", sa.Integer, sa.ForeignKey("revisions.revision"), nullable=False)
        _make_changes_anew(known)
    op.create_index("ix_price_changes_model_id", "price_changes", ["model_id", "at"])
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
    op.execute(f"{SAID} INSERT INTO price_intervals {COLUMNS} {INTERVALS}")
    op.drop_table("dated_prices")
    op.get_context().opts["script"].get_revision(down_revision).module.refuse_overlaps()
