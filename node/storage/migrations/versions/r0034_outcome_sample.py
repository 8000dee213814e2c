"""Exchanges that were drawn by lot for review, and the draws."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outcome_draw",
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("asker", sa.String(64), primary_key=True),
        sa.Column("exchanges", sa.BigInteger(), nullable=False),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outcome_sample",
        sa.Column("exchange_id", sa.String(36), primary_key=True),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("asker", sa.String(64), nullable=False),
        sa.Column("case_number", sa.String(16)),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_outcome_sample_month", "outcome_sample", ["month", "asker"])


def downgrade() -> None:
    op.drop_table("outcome_sample")
    op.drop_table("outcome_draw")
