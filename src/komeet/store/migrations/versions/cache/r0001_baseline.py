"""Answers that may be given once more."""

import sqlalchemy as sa
from alembic import op

revision = "cache_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "cached_answers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", name=op.f("pk_cached_answers")),
    )
    op.create_index("ix_cached_answers_age", "cached_answers", ["created_at", "size"], unique=False)
    op.create_index(op.f("ix_cached_answers_expires_at"), "cached_answers", ["expires_at"], unique=False)
