"""A token for individual access is bound to the one patient whom the id_token proves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("oauth_token") as batch:
        batch.add_column(sa.Column("patient", sa.String(64)))


def downgrade() -> None:
    with op.batch_alter_table("oauth_token") as batch:
        batch.drop_column("patient")
