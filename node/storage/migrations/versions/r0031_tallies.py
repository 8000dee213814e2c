"""What the log says of each peer, counted by day; marks of legs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_ALIKE = (("peer", 64), ("day", 0), ("direction", 16), ("txn", 32))


def _key(name: str, length: int) -> sa.Column[object]:
    kind = sa.String(length) if length else sa.Integer()
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "peer_tally",
        *(_key(*each) for each in (*_ALIKE, ("outcome", 16), ("purpose", 32), ("mark", 64))),
        sa.Column("number", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_peer_tally_day", "peer_tally", ["day"])
    op.create_table(
        "peer_duration",
        *(_key(*each) for each in (*_ALIKE, ("bucket", 0))),
        sa.Column("number", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_peer_duration_day", "peer_duration", ["day"])
    op.create_table(
        "leg_mark",
        _key("mark", 64),
        sa.Column("t", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_leg_mark_t", "leg_mark", ["t"])
    op.create_table(
        "document_seen",
        sa.Column("content", sa.LargeBinary(), primary_key=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_document_seen_day", "document_seen", ["day"])
    op.create_index("ix_document_seen_seq", "document_seen", ["seq"])
    op.create_table(
        "tally_cursor",
        _key("id", 0),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("kept_from", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    for name in ("tally_cursor", "document_seen", "leg_mark", "peer_duration", "peer_tally"):
        op.drop_table(name)
