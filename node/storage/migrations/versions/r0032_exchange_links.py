"""Exchanges that ask anew what an earlier one asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exchange_link",
        sa.Column("later", sa.String(36), primary_key=True),
        sa.Column("earlier", sa.String(36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_exchange_link_earlier", "exchange_link", ["earlier", "seq"])


def downgrade() -> None:
    op.drop_table("exchange_link")
