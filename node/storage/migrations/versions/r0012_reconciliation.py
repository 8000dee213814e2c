"""Logs compared with those of peers, and what has to be looked into."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "review_item",
        sa.Column("id", number, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(64), nullable=False, unique=True),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("window", sa.String(10)),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("token", sa.String(32)),
        sa.Column("cases", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "review_event",
        sa.Column(
            "item",
            sa.BigInteger(),
            sa.ForeignKey("review_item.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(40)),
        sa.Column("reason", sa.String(500)),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reconciled_window",
        sa.Column("peer", sa.String(64), primary_key=True),
        sa.Column("window", sa.String(10), primary_key=True),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.String(64)),
        sa.Column("counts", sa.String(500), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("reconciled_window")
    op.drop_table("review_event")
    op.drop_table("review_item")
