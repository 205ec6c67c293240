"""Whom a call was sent to, one after the other, and why."""

import sqlalchemy as sa
from alembic import op

revision = "requests_0004"
down_revision = "requests_0003"


def upgrade() -> None:
    op.add_column("requests", sa.Column("trail", sa.Text(), server_default=sa.text("''"), nullable=False))
