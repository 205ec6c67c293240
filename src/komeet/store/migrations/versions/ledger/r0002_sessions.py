"""Open holds say which process holds them, so that those of one that died can be told from the others."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"


def upgrade() -> None:
    op.add_column("open_holds", sa.Column("session", sa.Text(), server_default=sa.text("''"), nullable=False))
