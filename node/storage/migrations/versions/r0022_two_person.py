"""What waits for a second person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "two_person_request",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("verb", sa.String(32), nullable=False),
        sa.Column("about", sa.String(64)),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("asker", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("decided", sa.BigInteger()),
        sa.Column("decider", sa.String(64)),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_two_person_request_state", "two_person_request", ["state", "until"])


def downgrade() -> None:
    op.drop_table("two_person_request")
