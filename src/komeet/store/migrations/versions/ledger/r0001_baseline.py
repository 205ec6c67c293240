"""The first schema of `komeet.db`: keys, accounts, holds, outcomes, postings."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=True),
        sa.Column("posted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("kind IN ('key', 'project', 'organisation', 'provider')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint("hard_limit >= 0", name=op.f("ck_accounts_hard_limit")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_accounts_held")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_index(
        "uq_accounts_provider",
        "accounts",
        ["name"],
        unique=True,
        sqlite_where=sa.text("kind = 'provider'"),
        postgresql_where=sa.text("kind = 'provider'"),
    )
    op.create_table(
        "epochs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_epochs")),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("store_bodies", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_keys_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_keys_digest")),
    )
    op.create_index(op.f("ix_keys_name"), "keys", ["name"], unique=False)
    op.create_table(
        "holds",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("accounts", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_asked", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_holds_amount")),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_holds_key_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_holds")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_holds_request_id"), "holds", ["request_id"], unique=False)
    op.create_table(
        "open_holds",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("orphan", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["holds.attempt_id"], name=op.f("fk_open_holds_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_open_holds")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outcomes",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("overrun", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("unpriced", sa.Boolean(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("input_audio_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_audio_tokens", sa.BigInteger(), nullable=False),
        sa.Column("input_image_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_image_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_audio_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_image_tokens", sa.BigInteger(), nullable=False),
        sa.Column("price_version", sa.Text(), nullable=False),
        sa.Column("model_served", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("latency_us", sa.BigInteger(), nullable=False),
        sa.Column("first_token_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("cost >= 0 AND (cost = 0 OR state = 'settled')", name=op.f("ck_outcomes_cost")),
        sa.CheckConstraint("state IN ('settled', 'voided', 'orphan')", name=op.f("ck_outcomes_state")),
        sa.CheckConstraint("overrun >= 0 AND overrun <= cost", name=op.f("ck_outcomes_overrun")),
        sa.ForeignKeyConstraint(["attempt_id"], ["holds.attempt_id"], name=op.f("fk_outcomes_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_outcomes")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_outcomes_ended_at"), "outcomes", ["ended_at"], unique=False)
    op.create_table(
        "postings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("posted_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("leg IN ('charge', 'contra', 'rollup')", name=op.f("ck_postings_leg")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_postings_account_id")),
        sa.ForeignKeyConstraint(["attempt_id"], ["outcomes.attempt_id"], name=op.f("fk_postings_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
    )
    op.execute("INSERT INTO epochs (name, epoch) VALUES ('keys', 0)")
