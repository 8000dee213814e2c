"""What clinicians asked and opened, so that a restart does not forget it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("clinic_request", "clinic_seen"):
        op.create_table(
            name,
            sa.Column("token", sa.LargeBinary(), primary_key=True),
            sa.Column("login", sa.String(64), nullable=False),
            sa.Column("until", sa.BigInteger(), nullable=False),
            sa.Column("sealed", sa.LargeBinary(), nullable=False),
        )
        op.create_index(f"ix_{name}_until", name, ["until"])
    op.create_index("ix_clinic_seen_login", "clinic_seen", ["login"])


def downgrade() -> None:
    op.drop_table("clinic_seen")
    op.drop_table("clinic_request")
