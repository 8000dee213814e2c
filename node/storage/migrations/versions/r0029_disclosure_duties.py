"""Patients' requests for reports, and suspensions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "disclosure_request",
        _id(),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.Column("answered", sa.BigInteger()),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_disclosure_request_token", "disclosure_request", ["token"])
    op.create_index("ix_disclosure_request_due", "disclosure_request", ["answered", "due"])
    op.create_table(
        "disclosure_suspension",
        _id(),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("begun", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("oral", sa.Boolean(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_disclosure_suspension_token", "disclosure_suspension", ["token", "until"])


def downgrade() -> None:
    op.drop_table("disclosure_suspension")
    op.drop_table("disclosure_request")
