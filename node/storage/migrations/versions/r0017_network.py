"""What our own systems were told of the network."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "network_kept",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.Column("topic", sa.LargeBinary(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_network_kept_topic", "network_kept", ["holder", "topic"], unique=True)
    op.create_index("ix_network_kept_holder", "network_kept", ["holder", "expires"])
    op.create_index("ix_network_kept_expires", "network_kept", ["expires"])


def downgrade() -> None:
    op.drop_table("network_kept")
