"""What is charged besides tokens has columns: searches that ran at the provider, and sound by its length."""

import sqlalchemy as sa
from alembic import op

revision = "requests_0002"
down_revision = "requests_0001"


def upgrade() -> None:
    for name in ("web_searches", "storage_searches", "audio_ms"):
        op.add_column("requests", sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False))
