"""Log promises of peers, by the number of our entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_DUE = sa.text("state = 'open'")


def upgrade() -> None:
    op.create_table(
        "log_promise",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("ledger_entry.seq"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(512), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index(
        "ix_log_promise_due", "log_promise", ["t"], sqlite_where=_DUE, postgresql_where=_DUE
    )


def downgrade() -> None:
    op.drop_table("log_promise")
