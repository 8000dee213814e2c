"""Erasures by the entry that they are of, and legal holds against them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_erasure",
        sa.Column(
            "target",
            sa.BigInteger(),
            sa.ForeignKey("ledger_entry.seq"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("part", sa.String(16), primary_key=True),
        sa.Column("seq", sa.BigInteger(), sa.ForeignKey("ledger_entry.seq"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_hold",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger()),
        sa.Column("last", sa.BigInteger()),
        sa.Column("token", sa.LargeBinary()),
        sa.Column("peer", sa.String(64)),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("placed_by", sa.String(64), nullable=False),
        sa.Column("placed", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("ledger_hold")
    op.drop_table("ledger_erasure")
