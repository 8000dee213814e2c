"""Witnesses of our log whose logs we witness, and what we signed of theirs last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_witness",
        sa.Column("organization_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("address", sa.String(2048), nullable=False),
        sa.Column("log_keys", sa.Text(), nullable=False),
        sa.Column("witness_keys", sa.Text(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("cosigned", sa.BigInteger()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("failing", sa.BigInteger()),
        sa.Column("failure", sa.String(64)),
    )
    op.create_table(
        "ledger_witnessed",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("origin", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("ledger_witnessed")
    op.drop_table("ledger_witness")
