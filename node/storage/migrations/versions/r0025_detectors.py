"""Detectors: flags with the entries they rest on, changes, sweeps, suppressions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "detector_flag",
        sa.Column("id", _big(), primary_key=True, autoincrement=False),
        sa.Column("detector", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(8), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("sentence", sa.String(512), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("sweep", sa.BigInteger(), nullable=False),
        sa.Column("suppression", sa.BigInteger()),
        sa.Column("case_number", sa.String(16)),
    )
    op.create_index("ix_detector_flag_about", "detector_flag", ["about", "detector", "last"])
    op.create_index("ix_detector_flag_detector", "detector_flag", ["detector", "t"])
    op.create_index("ix_detector_flag_case", "detector_flag", ["case_number"])
    op.create_table(
        "detector_flag_entry",
        sa.Column(
            "flag",
            sa.BigInteger(),
            sa.ForeignKey("detector_flag.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("exchange_id", sa.String(36), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "detector_change",
        sa.Column("id", _big(), primary_key=True, autoincrement=False),
        sa.Column("detector", sa.String(16), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("limits", sa.String(1000), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_detector_change_detector", "detector_change", ["detector"])
    op.create_table(
        "detector_sweep",
        sa.Column("id", _big(), primary_key=True, autoincrement=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("exchanges", sa.Integer(), nullable=False),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("shadow", sa.Integer(), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.String(200), nullable=False),
    )
    op.create_table(
        "detector_suppression",
        sa.Column("id", _big(), primary_key=True, autoincrement=False),
        sa.Column("detector", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(8), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
    )
    op.create_index("ix_detector_suppression_about", "detector_suppression", ["about", "detector"])


def _big() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def downgrade() -> None:
    for name in ("suppression", "sweep", "change", "flag_entry", "flag"):
        op.drop_table(f"detector_{name}")
