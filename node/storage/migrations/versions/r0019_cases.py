"""Cases: what somebody looks into, with what was said and decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "governance_case",
        sa.Column("id", number, primary_key=True, autoincrement=False),
        sa.Column("number", sa.String(16), nullable=False, unique=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("peer", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("incidents", sa.Integer(), nullable=False),
        sa.Column("assignee", sa.String(64)),
        sa.Column("resolver", sa.String(64)),
        sa.Column("outcome", sa.String(40)),
        sa.Column("resolved", sa.BigInteger()),
        sa.Column("answer_due", sa.BigInteger()),
        sa.Column("target", sa.String(16)),
    )
    op.create_index("ix_governance_case_due", "governance_case", ["due", "id"])
    op.create_table(
        "case_message",
        _case(primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("refusal", sa.String(32)),
        sa.Column("about", sa.String(64)),
        sa.Column("outcome", sa.String(40)),
        sa.Column("due", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "case_evidence",
        _case(primary_key=True),
        sa.Column("exchange_id", sa.String(36), primary_key=True),
        sa.Column("message", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_case_evidence_exchange", "case_evidence", ["exchange_id"])
    op.create_table(
        "case_subject",
        _case(primary_key=True),
        sa.Column("mark", sa.LargeBinary(), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "case_item",
        sa.Column(
            "item", number, sa.ForeignKey("review_item.id"), primary_key=True, autoincrement=False
        ),
        _case(),
    )
    op.create_index("ix_case_item_case_id", "case_item", ["case_id"])


def _case(*, primary_key: bool = False) -> sa.Column[int]:
    of = sa.ForeignKey("governance_case.id")
    if primary_key:
        return sa.Column("case_id", sa.BigInteger(), of, primary_key=True, autoincrement=False)
    return sa.Column("case_id", sa.BigInteger(), of, nullable=False)


def downgrade() -> None:
    for name in ("case_item", "case_subject", "case_evidence", "case_message", "governance_case"):
        op.drop_table(name)
