"""The ledger: counter, entries, private records, tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    counter = op.create_table(
        "ledger_counter",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("next", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counter, [{"name": "entry", "next": 0}])
    op.create_table(
        "ledger_entry",
        sa.Column("seq", big, primary_key=True, autoincrement=False),
        sa.Column("entry_id", sa.String(36), nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("t", sa.BigInteger, nullable=False),
        sa.Column("exchange_id", sa.String(36)),
        sa.Column("direction", sa.String(16)),
        sa.Column("txn", sa.String(32)),
        sa.Column("peer", sa.String(64)),
        sa.Column("purpose", sa.String(32)),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.String(64)),
        sa.Column("msg", sa.String(45)),
        sa.Column("rel", sa.String(45)),
    )
    op.create_index("ix_ledger_entry_id", "ledger_entry", ["entry_id"], unique=True)
    op.create_index("ix_ledger_entry_time", "ledger_entry", ["t", "seq"])
    for name in ("peer", "outcome", "purpose", "txn", "direction", "exchange_id"):
        op.create_index(f"ix_ledger_entry_{name}", "ledger_entry", [name, "t", "seq"])
    for name in ("reason", "msg", "rel"):
        present = sa.column(name).is_not(None)
        op.create_index(
            f"ix_ledger_entry_{name}",
            "ledger_entry",
            [name, "t", "seq"],
            sqlite_where=present,
            postgresql_where=present,
        )
    op.create_table(
        "ledger_private",
        sa.Column(
            "seq", big, sa.ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False
        ),
        *(sa.Column(name, sa.LargeBinary) for name in ("who", "patient", "query", "docs", "wire")),
    )
    op.create_table(
        "ledger_token",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("t", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "seq",
            sa.BigInteger,
            sa.ForeignKey("ledger_entry.seq"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("part", sa.String(16), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_token_seq", "ledger_token", ["seq"])


def downgrade() -> None:
    for table in ("ledger_token", "ledger_private", "ledger_entry", "ledger_counter"):
        op.drop_table(table)
