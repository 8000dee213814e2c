"""Who confirmed what a refusal stands on, as the second person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("denial_note", sa.Column("confirmed", sa.BigInteger()))
    op.add_column("denial_note", sa.Column("confirmer", sa.String(64)))


def downgrade() -> None:
    op.drop_column("denial_note", "confirmer")
    op.drop_column("denial_note", "confirmed")
