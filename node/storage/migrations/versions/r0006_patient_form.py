"""People keep the form in which they are compared, and the name of the rules it was made by.

Both stay empty here: the node makes them, and the blocking keys, again when it opens the database
(``node.records.reform``), since that needs the matching rules.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records_patient", sa.Column("traits", sa.LargeBinary()))
    op.add_column("records_patient", sa.Column("form", sa.String(32)))
    op.create_index("ix_records_patient_form", "records_patient", ["form"])


def downgrade() -> None:
    op.drop_index("ix_records_patient_form", "records_patient")
    op.drop_column("records_patient", "form")
    op.drop_column("records_patient", "traits")
