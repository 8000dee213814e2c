"""Saved views and preferences of people at the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    owner = sa.ForeignKey("console_user.login")
    op.create_table(
        "console_view",
        sa.Column("id", number, primary_key=True),
        sa.Column("owner", sa.String(64), owner, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("query", sa.String(2048), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
    )
    op.create_index("ux_console_view_name", "console_view", ["owner", "name"], unique=True)
    login = sa.ForeignKey("console_user.login")
    op.create_table(
        "console_preference",
        sa.Column("login", sa.String(64), login, primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(512), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("console_preference")
    op.drop_table("console_view")
