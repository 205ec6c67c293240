"""What the provider's prompt cache saved of a request's cost."""

import sqlalchemy as sa
from alembic import op

revision = "requests_0006"
down_revision = "requests_0005"


def upgrade() -> None:
    op.add_column("requests", sa.Column("prompt_saved", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
