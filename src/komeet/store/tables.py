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

from komeet.canonical.usage import APART, Usage

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

LEDGER = MetaData(naming_convention=NAMES)
REQUESTS = MetaData(naming_convention=NAMES)

USAGE_COLUMNS = tuple(name if name in APART else f"{name}_tokens" for name in Usage.__struct_fields__)
"""The columns of a `Usage`, in the order of its fields."""

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: on SQLite only `INTEGER PRIMARY KEY` numbers itself."""


def _usage_columns() -> list[Column[int]]:
    """One column for each class."""
    return [
        Column(name, BigInteger, nullable=False, server_default=text("0") if name in APART else None)
        for name in USAGE_COLUMNS
    ]


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
    CheckConstraint(
        "kind IN ('key', 'user', 'project', 'organisation', 'provider', 'margin', 'adjustments')", name="kind"
    ),
    CheckConstraint("held >= 0", name="held"),
)
"""`hard_limit` and `blocked` are of schemas before budgets had a table of their own, and no longer read."""

Index(
    "uq_accounts_provider",
    accounts.c.name,
    unique=True,
    sqlite_where=text("kind = 'provider'"),
    postgresql_where=text("kind = 'provider'"),
)

Index(
    "uq_accounts_single",
    accounts.c.kind,
    unique=True,
    sqlite_where=text("kind IN ('margin', 'adjustments')"),
    postgresql_where=text("kind IN ('margin', 'adjustments')"),
)

organisations = Table(
    "organisations",
    LEDGER,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
)

projects = Table(
    "projects",
    LEDGER,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
)
Index("uq_projects_name", projects.c.organisation_id, projects.c.name, unique=True)

users = Table(
    "users",
    LEDGER,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
)
Index("uq_users_name", users.c.organisation_id, users.c.name, unique=True)

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
    Column("organisation_id", Text, ForeignKey("organisations.id")),
    Column("project_id", Text, ForeignKey("projects.id")),
    Column("user_id", Text, ForeignKey("users.id")),
    Column("limits", Text, nullable=False, server_default=text("'{}'")),
)

epochs = Table(
    "epochs",
    LEDGER,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)
"""Counters that change with what they name, for those who keep a copy of it: the rows `keys` and `budgets`."""

budgets = Table(
    "budgets",
    LEDGER,
    Column("id", Integer, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("span", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("prepaid", Boolean, nullable=False, server_default=text("false")),
    Column("thresholds", Text, nullable=False),
    Column("blocked", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    CheckConstraint("scope IN ('key', 'user', 'project', 'organisation', 'provider', 'model')", name="scope"),
    CheckConstraint("span IN ('total', 'hour', 'day', 'week', 'month')", name="span"),
    CheckConstraint("amount >= 0", name="amount"),
)
Index("ix_budgets_subject", budgets.c.scope, budgets.c.subject)

budget_windows = Table(
    "budget_windows",
    LEDGER,
    Column("budget_id", Integer, ForeignKey("budgets.id"), primary_key=True),
    Column("starts_at", BigInteger, primary_key=True),
    Column("posted", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("recall", Integer, nullable=False),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("leased >= 0", name="leased"),
    sqlite_with_rowid=False,
)
"""What is spent of a budget in one window, what orphans may still cost, and what workers have leased.

`leased` is the sum of the window's `leases`. `recall` is raised when somebody finds no room: leases of a lower
`answered` are to be returned as far as they are free.
"""

leases = Table(
    "leases",
    LEDGER,
    Column("session", Text, primary_key=True),
    Column("budget_id", Integer, primary_key=True),
    Column("starts_at", BigInteger, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("answered", Integer, nullable=False),
    CheckConstraint("amount >= 0", name="amount"),
    sqlite_with_rowid=False,
)
Index("ix_leases_budget_id", leases.c.budget_id, leases.c.starts_at)

nodes = Table(
    "nodes",
    LEDGER,
    Column("node", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    LEDGER,
    Column("session", Text, primary_key=True),
    Column("node", Text, nullable=False, index=True),
    Column("boot", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)
"""The processes that have a journal, and how far each journal is in the database."""

uncertain = Table(
    "uncertain",
    LEDGER,
    Column("id", _ROW_ID, primary_key=True),
    Column("session", Text, nullable=False),
    Column("budget_id", Integer, ForeignKey("budgets.id"), nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("spent", BigInteger),
    CheckConstraint("amount > 0", name="amount"),
)
"""Leases of a process whose journal may lack its end (after a loss of power): held until somebody resolves it."""

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
    Column("charge", BigInteger, nullable=False, server_default=text("0")),
    Column("shares", Text, nullable=False, server_default=text("'[]'")),
    Column("free", Text, nullable=False, server_default=text("''")),
    CheckConstraint("amount >= 0", name="amount"),
    sqlite_with_rowid=False,
)
"""`amount` bounds what the provider bills, `charge` what the customer is charged.

`free` is what of the charge may be free: a JSON array of an allowance, the start of its window, its limit, and whether
that is of tokens; empty: nothing.
"""

free_windows = Table(
    "free_windows",
    LEDGER,
    Column("allowance", Text, primary_key=True),
    Column("starts_at", BigInteger, primary_key=True),
    Column("used", BigInteger, nullable=False),
    CheckConstraint("used >= 0", name="used"),
    sqlite_with_rowid=False,
)
"""What is used of a free allowance in one window: nano-dollars, or tokens."""

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
    Column("charge", BigInteger, nullable=False, server_default=text("0")),
    Column("free", BigInteger, nullable=False, server_default=text("0")),
    Column("free_tokens", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("state IN ('settled', 'voided', 'orphan')", name="state"),
    CheckConstraint("cost >= 0 AND (cost = 0 OR state = 'settled')", name="cost"),
    CheckConstraint("overrun >= 0 AND overrun <= cost", name="overrun"),
    sqlite_with_rowid=False,
)
"""`charge` is what is charged; with `free` it is what would have been without an allowance, of which `free_tokens`
tokens are used where it counts them."""

entries = Table(
    "entries",
    LEDGER,
    Column("id", _ROW_ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("attempt_id", Text, ForeignKey("outcomes.attempt_id"), index=True),
    Column("reference", Text, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("charge", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("kind IN ('resolution', 'correction', 'repricing', 'grant', 'voucher', 'payment')", name="kind"),
)
"""What is posted besides calls. `cost` and `charge` are what it changes; those of a credit are below 0.

`reference` is what must not be entered twice: a voucher's code, a payment's id; empty where that cannot be.
"""
Index(
    "uq_entries_reference",
    entries.c.kind,
    entries.c.reference,
    unique=True,
    sqlite_where=text("reference <> ''"),
    postgresql_where=text("reference <> ''"),
)

postings = Table(
    "postings",
    LEDGER,
    Column("id", _ROW_ID, primary_key=True),
    Column("attempt_id", Text, ForeignKey("outcomes.attempt_id")),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("leg", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("posted_at", BigInteger, nullable=False),
    Column("entry_id", _ROW_ID, ForeignKey("entries.id")),
    CheckConstraint("leg IN ('charge', 'contra', 'rollup', 'margin')", name="leg"),
    CheckConstraint("attempt_id IS NOT NULL OR entry_id IS NOT NULL", name="cause"),
)

seals = Table(
    "seals",
    LEDGER,
    Column("id", _ROW_ID, primary_key=True),
    Column("first_posting", BigInteger, nullable=False),
    Column("last_posting", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
)
"""A chain of hashes over closed batches of postings, with the rows that caused them."""

vouchers = Table(
    "vouchers",
    LEDGER,
    Column("digest", LargeBinary, primary_key=True),
    Column("hint", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("redeemed_at", BigInteger),
    Column("redeemed_by", Text),
    CheckConstraint("amount > 0", name="amount"),
)

usage_hours = Table(
    "usage_hours",
    LEDGER,
    Column("hour", BigInteger, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("tags", Text, primary_key=True),
    Column("settled", BigInteger, nullable=False),
    Column("voided", BigInteger, nullable=False),
    Column("orphans", BigInteger, nullable=False),
    Column("estimated", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    *_usage_columns(),
    Column("cost", BigInteger, nullable=False),
    Column("charge", BigInteger, nullable=False),
    Column("overrun", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)
"""The sums of the attempts that ended in an hour (Unix milliseconds of its start), kept with the rows themselves."""

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
    Column("replay_of", Text, nullable=False, server_default=text("''")),
    Column("trail", Text, nullable=False, server_default=text("''")),
    Column("cache", Text, nullable=False, server_default=text("''")),
    Column("saved", BigInteger, nullable=False, server_default=text("0")),
    Column("prompt_saved", BigInteger, nullable=False, server_default=text("0")),
    Column("request_body", LargeBinary),
    Column("response_body", LargeBinary),
)

idempotency = Table(
    "idempotency",
    REQUESTS,
    Column("key_id", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("body_digest", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("streamed", Boolean, nullable=False),
    Column("cost", BigInteger),
    Column("created_at", BigInteger, nullable=False, index=True),
    CheckConstraint("state IN ('running', 'done')", name="state"),
)
"""Calls with an `Idempotency-Key`, for a day; `node` and `session` name the process that has it under way."""
