"""What people let apps of our own do: launches, requests, approvals, codes and refresh tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TABLES = ("oauth_ticket", "oauth_approval", "oauth_request", "oauth_launch")


def upgrade() -> None:
    op.create_table(
        "oauth_launch",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("login", sa.String(64)),
        sa.Column("patient", sa.String(64)),
        sa.Column("encounter", sa.String(64)),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "oauth_request",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "oauth_approval",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("patient", sa.String(64)),
        sa.Column("encounter", sa.String(64)),
        sa.Column("launched", sa.Boolean(), nullable=False),
        sa.Column("nonce", sa.String(256)),
        sa.Column("entry_id", sa.String(36), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "oauth_ticket",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("approval", sa.String(36), nullable=False),
        sa.Column("redirect_uri", sa.String(512)),
        sa.Column("challenge", sa.String(64)),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger()),
    )
    op.create_index("ix_oauth_ticket_approval", "oauth_ticket", ["approval"])
    for table in _TABLES:
        op.create_index(f"ix_{table}_until", table, ["until"])
    op.create_index("ix_oauth_approval_client", "oauth_approval", ["client_id"])
    op.create_index("ix_oauth_approval_login", "oauth_approval", ["login"])
    op.add_column("oauth_token", sa.Column("approval", sa.String(36)))
    op.create_index("ix_oauth_token_approval", "oauth_token", ["approval"])
    op.add_column("console_user", sa.Column("practitioner", sa.String(64)))


def downgrade() -> None:
    op.drop_column("console_user", "practitioner")
    op.drop_index("ix_oauth_token_approval", "oauth_token")
    op.drop_column("oauth_token", "approval")
    for table in _TABLES:
        op.drop_table(table)
