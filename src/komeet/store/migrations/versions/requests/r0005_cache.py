"""What the response cache had to do with a request, and what it saved."""

import sqlalchemy as sa
from alembic import op

revision = "requests_0005"
down_revision = "requests_0004"


def upgrade() -> None:
    op.add_column("requests", sa.Column("cache", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("requests", sa.Column("saved", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
