"""People of our organisation's sign-on, and sign-ins that are under way there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("console_user", sa.Column("issuer", sa.String(256)))
    op.add_column("console_user", sa.Column("subject", sa.String(256)))
    op.create_index("ux_console_user_subject", "console_user", ["issuer", "subject"], unique=True)
    op.create_table(
        "console_sign_on",
        sa.Column("state", sa.LargeBinary(), primary_key=True),
        sa.Column("browser", sa.LargeBinary(), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.LargeBinary(), nullable=False),
        sa.Column("back", sa.String(1024), nullable=False),
    )
    op.create_index("ix_console_sign_on_began", "console_sign_on", ["began"])


def downgrade() -> None:
    op.drop_table("console_sign_on")
    op.drop_index("ux_console_user_subject", "console_user")
    op.drop_column("console_user", "subject")
    op.drop_column("console_user", "issuer")
