"""Clients and tokens of the FHIR authorization server, and our registrations at others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "oauth_client",
        sa.Column("community", sa.String(512), primary_key=True),
        sa.Column("uri", sa.String(512), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("jwks", sa.Text()),
        sa.Column("key", sa.String(64)),
        sa.Column("statement", sa.LargeBinary()),
        sa.Column("registered", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_oauth_client_id", "oauth_client", ["client_id"], unique=True)
    op.create_table(
        "oauth_token",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("context", sa.LargeBinary(), nullable=False),
        sa.Column("entry_id", sa.String(36), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_oauth_token_client", "oauth_token", ["client_id", "expires"])
    op.create_index("ix_oauth_token_expires", "oauth_token", ["expires"])
    op.create_table(
        "oauth_seen",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_oauth_seen_until", "oauth_seen", ["until"])
    op.create_table(
        "fhir_registration",
        sa.Column("community", sa.String(512), primary_key=True),
        sa.Column("registration_endpoint", sa.String(512), primary_key=True),
        sa.Column("uri", sa.String(512), primary_key=True),
        sa.Column("base_url", sa.String(512), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("certificate", sa.String(64), nullable=False),
        sa.Column("registered", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    for table in ("fhir_registration", "oauth_seen", "oauth_token", "oauth_client"):
        op.drop_table(table)
