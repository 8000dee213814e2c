"""The local records: people, blocking keys, documents, failures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "records_document",
        sa.Column("entry_uuid", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("unique_id", sa.String(128), nullable=False),
        sa.Column("logical_id", sa.String(128)),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("notes", sa.String(1024), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry_uuid"),
    )
    op.create_index("ix_records_document_logical_id", "records_document", ["logical_id"])
    op.create_index("ix_records_document_patient", "records_document", ["patient_id"])
    op.create_index("ix_records_document_sha256", "records_document", ["sha256"])
    op.create_index("ix_records_document_unique_id", "records_document", ["unique_id"], unique=True)
    op.create_table(
        "records_failure",
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("sentence", sa.String(512), nullable=False),
        sa.Column("place", sa.String(128)),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("path"),
    )
    op.create_table(
        "records_patient",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("demographics", sa.LargeBinary(), nullable=False),
        sa.Column("merged_into", sa.String(64)),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_records_patient_merged", "records_patient", ["merged_into"])
    op.create_table(
        "records_patient_key",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("key", "patient_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_records_patient_key_patient", "records_patient_key", ["patient_id"])


def downgrade() -> None:
    for table in (
        "records_patient_key",
        "records_patient",
        "records_failure",
        "records_document",
    ):
        op.drop_table(table)
