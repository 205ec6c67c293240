"""Budgets of many kinds with windows and leases, people, entries besides calls, seals, and sums by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0003"
down_revision = "ledger_0002"

_TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "input_image_tokens",
    "cache_read_image_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)
_APART = ("web_searches", "storage_searches", "audio_ms")
"""What is counted in no tokens; new with this revision."""


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column, sa.types.NullType()) for column in columns))


_ACCOUNTS = _table("accounts", "id", "kind", "name", "hard_limit", "posted", "blocked")
_KEYS = _table("keys", "id", "account_id", "created_at")
_HOLDS = _table("holds", "attempt_id", "key_id", "provider", "model", "tags", "amount", "charge", "shares")
_OUTCOMES = _table(
    "outcomes", "attempt_id", "state", "estimated", "unpriced", *_TOKENS, "cost", "charge", "overrun", "ended_at"
)
_OPEN = sa.table("open_holds", sa.column("attempt_id"), sa.column("orphan", sa.Boolean()), sa.column("session"))
_BUDGETS = _table(
    "budgets", "id", "scope", "subject", "span", "zone", "amount", "hard", "thresholds", "blocked", "created_at"
)
_WINDOWS = _table("budget_windows", "budget_id", "starts_at", "posted", "held", "leased", "recall")
_LEASES = _table("leases", "session", "budget_id", "starts_at", "amount", "answered")


def upgrade() -> None:
    _people()
    _budgets()
    _free_windows()
    _processes()
    _entries()
    _rollup()
    _columns()
    _accounts()
    _postings()
    _move_budgets()
    _sum_hours()
    op.execute("INSERT INTO epochs (name, epoch) VALUES ('budgets', 0)")


def _people() -> None:
    op.create_table(
        "organisations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_organisations_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("name", name=op.f("uq_organisations_name")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_projects_account_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_projects_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_index("uq_projects_name", "projects", ["organisation_id", "name"], unique=True)
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_users_account_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_users_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_name", "users", ["organisation_id", "name"], unique=True)


def _budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("prepaid", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "scope IN ('key', 'user', 'project', 'organisation', 'provider', 'model')", name=op.f("ck_budgets_scope")
        ),
        sa.CheckConstraint("span IN ('total', 'hour', 'day', 'week', 'month')", name=op.f("ck_budgets_span")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_budgets_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index("ix_budgets_subject", "budgets", ["scope", "subject"], unique=False)
    op.create_table(
        "budget_windows",
        sa.Column("budget_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("leased", sa.BigInteger(), nullable=False),
        sa.Column("recall", sa.Integer(), nullable=False),
        sa.CheckConstraint("held >= 0", name=op.f("ck_budget_windows_held")),
        sa.CheckConstraint("leased >= 0", name=op.f("ck_budget_windows_leased")),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_budget_windows_budget_id")),
        sa.PrimaryKeyConstraint("budget_id", "starts_at", name=op.f("pk_budget_windows")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("budget_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_leases_amount")),
        sa.PrimaryKeyConstraint("session", "budget_id", "starts_at", name=op.f("pk_leases")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_leases_budget_id", "leases", ["budget_id", "starts_at"], unique=False)
    op.create_table(
        "uncertain",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("budget_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_uncertain_amount")),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_uncertain_budget_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uncertain")),
    )


def _free_windows() -> None:
    op.create_table(
        "free_windows",
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_free_windows_used")),
        sa.PrimaryKeyConstraint("allowance", "starts_at", name=op.f("pk_free_windows")),
        sqlite_with_rowid=False,
    )


def _processes() -> None:
    op.create_table(
        "nodes",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_nodes")),
    )
    op.create_table(
        "sessions",
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_node"), "sessions", ["node"], unique=False)


def _entries() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("charge", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('resolution', 'correction', 'repricing', 'grant', 'voucher', 'payment')",
            name=op.f("ck_entries_kind"),
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["outcomes.attempt_id"], name=op.f("fk_entries_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
    )
    op.create_index(op.f("ix_entries_attempt_id"), "entries", ["attempt_id"], unique=False)
    op.create_index(
        "uq_entries_reference",
        "entries",
        ["kind", "reference"],
        unique=True,
        sqlite_where=sa.text("reference <> ''"),
        postgresql_where=sa.text("reference <> ''"),
    )
    op.create_table(
        "vouchers",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("redeemed_at", sa.BigInteger(), nullable=True),
        sa.Column("redeemed_by", sa.Text(), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_vouchers_amount")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_vouchers")),
    )
    op.create_table(
        "seals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_posting", sa.BigInteger(), nullable=False),
        sa.Column("last_posting", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seals")),
    )


def _rollup() -> None:
    op.create_table(
        "usage_hours",
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("voided", sa.BigInteger(), nullable=False),
        sa.Column("orphans", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
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
        *(sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False) for name in _APART),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("charge", sa.BigInteger(), nullable=False),
        sa.Column("overrun", sa.BigInteger(), nullable=False),
        sa.Column("free", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("hour", "key_id", "provider", "model", "tags", name=op.f("pk_usage_hours")),
        sqlite_with_rowid=False,
    )


def _columns() -> None:
    with op.batch_alter_table("holds") as table:
        table.add_column(sa.Column("charge", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        table.add_column(sa.Column("shares", sa.Text(), server_default=sa.text("'[]'"), nullable=False))
        table.add_column(sa.Column("free", sa.Text(), server_default=sa.text("''"), nullable=False))
    for name in (*_APART, "charge", "free", "free_tokens"):
        op.add_column("outcomes", sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    with op.batch_alter_table("keys") as table:
        table.add_column(sa.Column("organisation_id", sa.Text(), nullable=True))
        table.add_column(sa.Column("project_id", sa.Text(), nullable=True))
        table.add_column(sa.Column("user_id", sa.Text(), nullable=True))
        table.add_column(sa.Column("limits", sa.Text(), server_default=sa.text("'{}'"), nullable=False))
        for name in ("organisation", "project", "user"):
            table.create_foreign_key(op.f(f"fk_keys_{name}_id"), f"{name}s", [f"{name}_id"], ["id"])
    op.execute(_HOLDS.update().values(charge=_HOLDS.c.amount))
    op.execute(_OUTCOMES.update().values(charge=_OUTCOMES.c.cost))


def _accounts() -> None:
    """The kinds of accounts that there are now: SQLite makes the table anew, and so it has to be told whole."""
    before = sa.Table(
        "accounts",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=True),
        sa.Column("posted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("kind IN ('key', 'project', 'organisation', 'provider')", name="ck_accounts_kind"),
        sa.CheckConstraint("hard_limit >= 0", name="ck_accounts_hard_limit"),
        sa.CheckConstraint("held >= 0", name="ck_accounts_held"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    sa.Index(
        "uq_accounts_provider",
        before.c.name,
        unique=True,
        sqlite_where=sa.text("kind = 'provider'"),
        postgresql_where=sa.text("kind = 'provider'"),
    )
    kinds = "kind IN ('key', 'user', 'project', 'organisation', 'provider', 'margin', 'adjustments')"
    with op.batch_alter_table("accounts", copy_from=before) as table:
        table.drop_constraint(op.f("ck_accounts_kind"), type_="check")
        table.drop_constraint(op.f("ck_accounts_hard_limit"), type_="check")
        table.create_check_constraint(op.f("ck_accounts_kind"), kinds)
    op.create_index(
        "uq_accounts_single",
        "accounts",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("kind IN ('margin', 'adjustments')"),
        postgresql_where=sa.text("kind IN ('margin', 'adjustments')"),
    )
    for name in ("margin", "adjustments"):
        op.execute(_ACCOUNTS.insert().values(kind=name, name=name))


def _postings() -> None:
    before = sa.Table(
        "postings",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("posted_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("leg IN ('charge', 'contra', 'rollup')", name="ck_postings_leg"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_postings_account_id"),
        sa.ForeignKeyConstraint(["attempt_id"], ["outcomes.attempt_id"], name="fk_postings_attempt_id"),
        sa.PrimaryKeyConstraint("id", name="pk_postings"),
    )
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("postings", copy_from=before) as table:
        table.add_column(sa.Column("entry_id", row_id, nullable=True))
        table.alter_column("attempt_id", existing_type=sa.Text(), nullable=True)
        table.create_foreign_key(op.f("fk_postings_entry_id"), "entries", ["entry_id"], ["id"])
        table.drop_constraint(op.f("ck_postings_leg"), type_="check")
        table.create_check_constraint(op.f("ck_postings_leg"), "leg IN ('charge', 'contra', 'rollup', 'margin')")
        table.create_check_constraint(op.f("ck_postings_cause"), "attempt_id IS NOT NULL OR entry_id IS NOT NULL")


def _move_budgets() -> None:
    """Make a budget of each limit of an account, with all that was spent of it and that is still held."""
    connection = op.get_bind()
    limited = (
        sa.select(_ACCOUNTS, _KEYS.c.id.label("key_id"), _KEYS.c.created_at)
        .join(_KEYS, _KEYS.c.account_id == _ACCOUNTS.c.id)
        .where(_ACCOUNTS.c.hard_limit.is_not(None))
    )
    for number, row in enumerate(connection.execute(limited).mappings().all(), 1):
        connection.execute(
            _BUDGETS.insert().values(
                id=number,
                scope="key",
                subject=row["key_id"],
                span="total",
                zone="UTC",
                amount=row["hard_limit"],
                hard=True,
                thresholds="[]",
                blocked=row["blocked"],
                created_at=row["created_at"],
            )
        )
        share = sa.literal(f"[[{number},0,") + sa.cast(_HOLDS.c.amount, sa.Text()) + sa.literal(",true,true]]")
        connection.execute(_HOLDS.update().where(_HOLDS.c.key_id == row["key_id"]).values(shares=share))
        of_key = (
            sa.select(_OPEN.c.session, sa.func.sum(_HOLDS.c.amount).label("amount"))
            .join(_HOLDS, _HOLDS.c.attempt_id == _OPEN.c.attempt_id)
            .where(_HOLDS.c.key_id == row["key_id"])
        )
        in_flight = connection.execute(of_key.where(_OPEN.c.orphan.is_(False)).group_by(_OPEN.c.session)).all()
        orphans = connection.execute(of_key.where(_OPEN.c.orphan.is_(True)).group_by(_OPEN.c.session)).all()
        connection.execute(
            _WINDOWS.insert().values(
                budget_id=number,
                starts_at=0,
                posted=row["posted"],
                held=sum(int(amount) for _, amount in orphans),
                leased=sum(int(amount) for _, amount in in_flight),
                recall=0,
            )
        )
        for session, amount in in_flight:
            lease = {"session": session, "budget_id": number, "starts_at": 0, "amount": int(amount), "answered": 0}
            connection.execute(_LEASES.insert().values(lease))
    if connection.dialect.name == "postgresql":  # the numbers above were given, not drawn
        latest = sa.select(sa.func.coalesce(sa.func.max(_BUDGETS.c.id), 0) + 1).scalar_subquery()
        connection.execute(sa.select(sa.func.setval("budgets_id_seq", latest, sa.false())))


def _sum_hours() -> None:
    """Sum the attempts that there are, as the writer of outcomes does from now on."""
    hour = _OUTCOMES.c.ended_at - _OUTCOMES.c.ended_at % 3_600_000
    settled, orphan = _OUTCOMES.c.state == "settled", _OUTCOMES.c.state == "orphan"

    def count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    sums = {
        "settled": count(settled),
        "voided": count(_OUTCOMES.c.state == "voided"),
        "orphans": count(orphan),
        "estimated": count(_OUTCOMES.c.estimated & settled),
        "unpriced": count(_OUTCOMES.c.unpriced & settled),
        **{name: sa.func.sum(_OUTCOMES.c[name]) for name in (*_TOKENS, "cost", "charge", "overrun")},
    }
    common = [hour, _HOLDS.c.key_id, _HOLDS.c.provider, _HOLDS.c.model, _HOLDS.c.tags]
    chosen = (
        sa.select(*common, *sums.values())
        .select_from(_OUTCOMES.join(_HOLDS, _HOLDS.c.attempt_id == _OUTCOMES.c.attempt_id))
        .group_by(*common)
    )
    names = ["hour", "key_id", "provider", "model", "tags", *sums]
    hours = sa.table("usage_hours", *(sa.column(name, sa.types.NullType()) for name in names))
    op.execute(hours.insert().from_select(names, chosen))
