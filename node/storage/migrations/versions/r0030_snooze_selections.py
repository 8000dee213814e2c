"""Snoozed cases, and what people selected and listed at the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("governance_case", sa.Column("snoozed", sa.BigInteger()))
    op.create_table(
        "console_selection",
        sa.Column("login", sa.String(64), sa.ForeignKey("console_user.login"), primary_key=True),
        sa.Column("view", sa.String(16), primary_key=True),
        sa.Column("thing", sa.String(36), primary_key=True),
        sa.Column("t", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "console_list",
        sa.Column("login", sa.String(64), sa.ForeignKey("console_user.login"), primary_key=True),
        sa.Column("view", sa.String(16), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("address", sa.String(2048), nullable=False),
        sa.Column("things", sa.String(2048), nullable=False),
        sa.Column("following", sa.String(2048), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("console_list")
    op.drop_table("console_selection")
    with op.batch_alter_table("governance_case") as batch:
        batch.drop_column("snoozed")
