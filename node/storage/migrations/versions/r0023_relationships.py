"""Encounters, grants by broken glass, and which practitioner a user is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "encounter",
        sa.Column("id", number, primary_key=True),
        sa.Column("visit", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_encounter_last", "encounter", ["last"])
    op.create_table(
        "encounter_patient",
        sa.Column("mark", sa.LargeBinary(), primary_key=True),
        sa.Column(
            "encounter_id",
            number,
            sa.ForeignKey("encounter.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_encounter_patient_encounter_id", "encounter_patient", ["encounter_id"])
    op.create_table(
        "encounter_patient_link",
        sa.Column("mark", sa.LargeBinary(), primary_key=True),
        sa.Column("into", sa.LargeBinary(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_encounter_patient_link_t", "encounter_patient_link", ["t"])
    op.create_table(
        "glass_grant",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
        sa.Column("case_number", sa.String(16), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_glass_grant_began", "glass_grant", ["began"])
    op.create_index("ix_glass_grant_login", "glass_grant", ["login", "until"])
    op.create_table(
        "glass_grant_patient",
        sa.Column("mark", sa.LargeBinary(), primary_key=True),
        sa.Column("grant_id", sa.String(36), sa.ForeignKey("glass_grant.id"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.add_column("console_user", sa.Column("practitioner_ids", sa.String(512)))
    op.add_column("console_user", sa.Column("departments", sa.String(512)))


def downgrade() -> None:
    op.drop_column("console_user", "departments")
    op.drop_column("console_user", "practitioner_ids")
    op.drop_table("glass_grant_patient")
    op.drop_table("glass_grant")
    op.drop_table("encounter_patient_link")
    op.drop_table("encounter_patient")
    op.drop_table("encounter")
