"""The tables, in SQLAlchemy Core: valid on SQLite and on PostgreSQL.

Money is a 64-bit integer of nano-dollars, time one of Unix milliseconds. Lists are JSON arrays in text. Rows of holds,
outcomes and postings are never changed. `LEDGER` lives in `komeet.db`, `REQUESTS` in `requests.db`, a file of its own:
so that writing the log never waits for money, nor the other way round.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from komeet.canonical.usage import Usage

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

LEDGER = MetaData(naming_convention=_NAMES)
REQUESTS = MetaData(naming_convention=_NAMES)

USAGE_COLUMNS = tuple(f"{token_class}_tokens" for token_class in Usage.__struct_fields__)
"""The columns of a `Usage`, in the order of its fields."""

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: on SQLite only `INTEGER PRIMARY KEY` numbers itself."""


def _usage_columns() -> list[Column[int]]:
    """One column for each token class."""
    return [Column(name, BigInteger, nullable=False) for name in USAGE_COLUMNS]


accounts = Table(
    "accounts",
    LEDGER,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hard_limit", BigInteger),
    Column("posted", BigInteger, nullable=False, server_default=text("0")),
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    Column("blocked", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("kind IN ('key', 'project', 'organisation', 'provider')", name="kind"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("hard_limit >= 0", name="hard_limit"),
)
Index(
    "uq_accounts_provider",
    accounts.c.name,
    unique=True,
    sqlite_where=text("kind = 'provider'"),
    postgresql_where=text("kind = 'provider'"),
)

keys = Table(
    "keys",
    LEDGER,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("models", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("store_bodies", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

epochs = Table(
    "epochs",
    LEDGER,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)
"""Counters that change with what they name, for those who keep a copy of it: the row `keys`."""

holds = Table(
    "holds",
    LEDGER,
    Column("attempt_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("key_id", Text, ForeignKey("keys.id"), nullable=False),
    Column("accounts", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("held_at", BigInteger, nullable=False),
    CheckConstraint("amount >= 0", name="amount"),
    sqlite_with_rowid=False,
)

open_holds = Table(
    "open_holds",
    LEDGER,
    Column("attempt_id", Text, ForeignKey("holds.attempt_id"), primary_key=True),
    Column("orphan", Boolean, nullable=False),
    Column("session", Text, nullable=False, server_default=text("''")),
    sqlite_with_rowid=False,
)
"""An index of the holds that are not released (without an outcome, or orphans), so that nothing scans all holds.

`session` names the process that holds it: what it leaves open when it dies is found by that.
"""

outcomes = Table(
    "outcomes",
    LEDGER,
    Column("attempt_id", Text, ForeignKey("holds.attempt_id"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("overrun", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("unpriced", Boolean, nullable=False),
    *_usage_columns(),
    Column("price_version", Text, nullable=False),
    Column("model_served", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("latency_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),
    Column("ended_at", BigInteger, nullable=False, index=True),
    CheckConstraint("state IN ('settled', 'voided', 'orphan')", name="state"),
    CheckConstraint("cost >= 0 AND (cost = 0 OR state = 'settled')", name="cost"),
    CheckConstraint("overrun >= 0 AND overrun <= cost", name="overrun"),
    sqlite_with_rowid=False,
)

postings = Table(
    "postings",
    LEDGER,
    Column("id", _ROW_ID, primary_key=True),
    Column("attempt_id", Text, ForeignKey("outcomes.attempt_id"), nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("leg", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("posted_at", BigInteger, nullable=False),
    CheckConstraint("leg IN ('charge', 'contra', 'rollup')", name="leg"),
)

requests = Table(
    "requests",
    REQUESTS,
    Column("id", _ROW_ID, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("surface", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model_served", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("attempt_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text, nullable=False),
    *_usage_columns(),
    Column("cost", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("unpriced", Boolean, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("latency_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("losses", Text, nullable=False),
    Column("upstream_request_id", Text, nullable=False),
    Column("request_body", LargeBinary),
    Column("response_body", LargeBinary),
)
