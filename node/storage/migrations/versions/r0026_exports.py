"""Files of entries that people take from the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_export",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("tokens", sa.Boolean(), nullable=False),
        sa.Column("asker", sa.String(64), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("bound", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("request", sa.BigInteger()),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger()),
        sa.Column("until", sa.BigInteger()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("sha256", sa.LargeBinary()),
        sa.Column("downloads", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(64)),
    )
    op.create_index("ix_console_export_state", "console_export", ["state", "until"])


def downgrade() -> None:
    op.drop_table("console_export")
