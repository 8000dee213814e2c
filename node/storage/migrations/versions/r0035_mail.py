"""The outbox of notices by mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("case_number", sa.String(16), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("detail", sa.String(64)),
    )
    op.create_index("ix_mail_due", "mail", ["state", "due"])


def downgrade() -> None:
    op.drop_table("mail")
