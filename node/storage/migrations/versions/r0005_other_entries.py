"""An index for the log's entries that are no exchanges: few, and found by their kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    no_exchange = sa.text("kind <> 'exchange'")
    op.create_index(
        "ix_ledger_entry_kind",
        "ledger_entry",
        ["kind", "t", "seq"],
        sqlite_where=no_exchange,
        postgresql_where=no_exchange,
    )


def downgrade() -> None:
    op.drop_index("ix_ledger_entry_kind", "ledger_entry")
