"""FHIR resources, what they are found by, and which person each Patient is."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_PRIMARY: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    ("fhir_token", (("parameter", 64), ("code", 256), ("system", 256))),
    ("fhir_text", (("parameter", 64), ("folded", 256), ("exact", 256))),
    ("fhir_date", (("parameter", 64), ("low", 0), ("high", 0))),
    ("fhir_reference", (("parameter", 64), ("target", 512))),
)
_BY_VALUE = (
    ("ix_fhir_token_value", "fhir_token", ["parameter", "code", "system", "key"]),
    ("ix_fhir_text_value", "fhir_text", ["parameter", "folded", "key"]),
    ("ix_fhir_date_value", "fhir_date", ["parameter", "low", "key"]),
    ("ix_fhir_reference_value", "fhir_reference", ["parameter", "target", "key"]),
)


def _text(length: int) -> Any:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "fhir_resource",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("type", _text(64), nullable=False),
        sa.Column("id", _text(64), nullable=False),
        sa.Column("patient", _text(64), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_fhir_resource_id", "fhir_resource", ["type", "id"], unique=True)
    op.create_index("ix_fhir_resource_patient", "fhir_resource", ["patient", "type", "key"])
    op.create_index("ix_fhir_resource_type", "fhir_resource", ["type", "key"])
    for table, columns in _PRIMARY:
        op.create_table(
            table,
            sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
            *(
                sa.Column(name, _text(length), nullable=False)
                if length
                else sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)
                for name, length in columns
            ),
            sa.PrimaryKeyConstraint("key", *(name for name, _ in columns)),
            sqlite_with_rowid=False,
        )
    for name, table, indexed in _BY_VALUE:
        op.create_index(name, table, indexed)
    op.create_table(
        "fhir_person",
        sa.Column("patient", _text(64), nullable=False),
        sa.Column("local_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("patient"),
    )
    op.create_index("ix_fhir_person_local", "fhir_person", ["local_id"])


def downgrade() -> None:
    for table in ("fhir_person", *(name for name, _ in reversed(_PRIMARY)), "fhir_resource"):
        op.drop_table(table)
