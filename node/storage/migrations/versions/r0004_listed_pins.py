"""The keys that a signed network list ties to organisations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = {
        length: sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
        for length in (16, 64)
    }
    op.create_table(
        "directory_listed_pin",
        sa.Column("organization_id", key[64], nullable=False),
        sa.Column("spki", key[64], nullable=False),
        sa.Column("use", key[16], nullable=False),
        sa.Column("listed_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "spki", "use"),
    )
    op.create_index("ix_directory_listed_pin_spki", "directory_listed_pin", ["spki"])


def downgrade() -> None:
    op.drop_table("directory_listed_pin")
