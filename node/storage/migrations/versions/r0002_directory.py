"""The directory: sources, organisations, endpoints, findings, pins, local settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _key(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "directory_endpoint",
        sa.Column("source", _key(64), nullable=False),
        sa.Column("id", _key(130), nullable=False),
        sa.Column("organization_id", _key(64)),
        sa.Column("managing_organization", _key(200)),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("digest", _key(64), nullable=False),
        sa.Column("host", _key(255)),
        sa.Column("inherits", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text()),
        sa.PrimaryKeyConstraint("source", "id"),
    )
    op.create_index("ix_directory_endpoint_host", "directory_endpoint", ["host"])
    op.create_index("ix_directory_endpoint_organization", "directory_endpoint", ["organization_id"])
    op.create_index("ix_directory_endpoint_source", "directory_endpoint", ["source", "seen"])
    op.create_table(
        "directory_finding",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", _key(64), nullable=False),
        sa.Column("severity", _key(8), nullable=False),
        sa.Column("code", _key(40), nullable=False),
        sa.Column("resource_id", _key(64)),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("place", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_directory_finding_code", "directory_finding", ["code", "id"])
    op.create_index("ix_directory_finding_resource", "directory_finding", ["resource_id", "id"])
    op.create_index("ix_directory_finding_severity", "directory_finding", ["severity", "id"])
    op.create_index("ix_directory_finding_source", "directory_finding", ["source", "id"])
    op.create_table(
        "directory_identifier",
        sa.Column("organization_id", _key(64), nullable=False),
        sa.Column("kind", _key(8), nullable=False),
        sa.Column("value", _key(210), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "kind", "value"),
    )
    op.create_index(
        "ix_directory_identifier_value",
        "directory_identifier",
        ["value", "kind", "organization_id"],
    )
    op.create_table(
        "directory_local",
        sa.Column("organization_id", _key(64), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id"),
    )
    op.create_table(
        "directory_organization",
        sa.Column("id", _key(64), nullable=False),
        sa.Column("source", _key(64), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("digest", _key(64), nullable=False),
        sa.Column("name_key", _key(200), nullable=False),
        sa.Column("part_of", _key(200)),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_directory_organization_name", "directory_organization", ["name_key", "id"])
    op.create_index(
        "ix_directory_organization_part_of", "directory_organization", ["part_of", "id"]
    )
    op.create_index(
        "ix_directory_organization_source", "directory_organization", ["source", "seen"]
    )
    op.create_table(
        "directory_owner",
        sa.Column("organization_id", _key(64), nullable=False),
        sa.Column("endpoint_id", _key(200), nullable=False),
        sa.Column("source", _key(64), nullable=False),
        sa.Column("derived", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "endpoint_id"),
    )
    op.create_index("ix_directory_owner_endpoint", "directory_owner", ["source", "endpoint_id"])
    op.create_table(
        "directory_pin",
        sa.Column("organization_id", _key(64), nullable=False),
        sa.Column("spki", _key(64), nullable=False),
        sa.Column("use", _key(16), nullable=False),
        sa.Column("pinned_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "spki", "use"),
    )
    op.create_index("ix_directory_pin_spki", "directory_pin", ["spki"])
    op.create_table(
        "directory_service",
        sa.Column("source", _key(64), nullable=False),
        sa.Column("endpoint_id", _key(130), nullable=False),
        sa.Column("transaction", _key(200), nullable=False),
        sa.Column("organization_id", _key(64)),
        sa.PrimaryKeyConstraint("source", "endpoint_id", "transaction"),
    )
    op.create_index("ix_directory_service_organization", "directory_service", ["organization_id"])
    op.create_index(
        "ix_directory_service_transaction",
        "directory_service",
        ["transaction", "source", "endpoint_id"],
    )
    op.create_table(
        "directory_source",
        sa.Column("name", _key(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("imported_at", sa.String(), nullable=False),
        sa.Column("organizations", sa.Integer(), nullable=False),
        sa.Column("endpoints", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "directory_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("imports", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "directory_word",
        sa.Column("organization_id", _key(64), nullable=False),
        sa.Column("word", _key(40), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "word"),
    )
    op.create_index("ix_directory_word_word", "directory_word", ["word", "organization_id"])


def downgrade() -> None:
    for table in (
        "directory_word",
        "directory_state",
        "directory_source",
        "directory_service",
        "directory_pin",
        "directory_owner",
        "directory_organization",
        "directory_local",
        "directory_identifier",
        "directory_finding",
        "directory_endpoint",
    ):
        op.drop_table(table)
