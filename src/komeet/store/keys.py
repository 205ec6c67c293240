"""Keys: made, listed, revoked and given budgets, from any process; servers see a change within their next poll."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, RowMapping, Select, insert, select, update

from komeet.access.keys import NO_LIMITS, PREFIX, Key, KeyLimits, digest, mint
from komeet.core.clock import Clock
from komeet.core.ids import new_id
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.accounts import Kind
from komeet.ledger.budget import Budget, Scope, Span
from komeet.store.budgets import add_budget, end_budget, find_budgets, set_amount
from komeet.store.errors import StoreError
from komeet.store.ledger_rows import names_of, names_text
from komeet.store.tables import accounts, budgets, epochs, keys, organisations, projects, users
from komeet.store.transactions import writing

_HINT = 4
_TABLES = MappingProxyType({"user": users, "project": projects, "organisation": organisations})
_ABOVE = tuple(_TABLES)


class Owner(Struct, frozen=True):
    """What a key belongs to, by ids."""

    organisation: str | None = None
    project: str | None = None
    user: str | None = None


NOBODY = Owner()


def create_key(  # noqa: PLR0913 - each is a property of the key
    engine: Engine,
    clock: Clock,
    *,
    name: str,
    budget: Nano | None = None,
    expires_at: int | None = None,
    models: Sequence[str] = (),
    tags: Sequence[str] = (),
    store_bodies: bool = False,
    limits: KeyLimits = NO_LIMITS,
    owner: Owner = NOBODY,
) -> tuple[Key, Secret]:
    """Make a key with an account of its own; the secret is returned here and kept nowhere.

    Args:
        engine: of the ledger.
        clock: says when it was made.
        name: for people; need not be unique.
        budget: the hard limit of what it may spend; None: no limit.
        expires_at: Unix milliseconds; None: never.
        models: patterns of the models that it may use; empty: all.
        tags: kept with each of its calls.
        store_bodies: whether prompts and answers are kept in the request log.
        limits: how often it may call.
        owner: what it belongs to, by ids that are there.
    """
    secret = mint()
    with writing(engine) as connection:
        _bump(connection)
        account = connection.execute(insert(accounts).values(kind=Kind.KEY.value, name=name))
        assert account.inserted_primary_key is not None
        key = Key(
            id=new_id("key_", clock),
            name=name,
            digest=digest(secret.reveal()),
            hint=secret.reveal()[-_HINT:],
            account=account.inserted_primary_key[0],
            budget=budget,
            models=tuple(models),
            tags=tuple(dict.fromkeys(tags)),
            store_bodies=store_bodies,
            created_at=clock.unix_ms(),
            expires_at=expires_at,
            limits=limits,
            organisation=owner.organisation,
            project=owner.project,
            user=owner.user,
        )
        connection.execute(insert(keys).values(_row(key)))
        if budget is not None:
            _set_budget(connection, clock, key, budget)
        return find_keys(connection, key.digest)[0], secret


def list_keys(engine: Engine) -> list[Key]:
    """Return all keys, the newest last; revoked and expired ones too."""
    with engine.connect() as connection:
        return find_keys(connection)


def find_key(engine: Engine, which: str) -> Key:
    """Return the key that is meant by `which`: its id, its name, its hint, or the key itself.

    Raises:
        StoreError: as `revoke_key`.
    """
    return _select(list_keys(engine), which)


def revoke_key(engine: Engine, clock: Clock, which: str) -> Key:
    """Revoke the key that is meant by `which`, and return it; revoking it again changes nothing.

    Args:
        engine: of the ledger.
        clock: says when it was revoked.
        which: its id, its name, its hint, or the key itself.

    Raises:
        StoreError: none is known by it, or more than one that is not revoked.
    """

    def revoke(connection: Connection, key: Key) -> None:
        if key.revoked_at is None:
            connection.execute(update(keys).where(keys.c.id == key.id).values(revoked_at=clock.unix_ms()))

    return _change(engine, which, revoke)


def change_budget(engine: Engine, clock: Clock, which: str, budget: Nano | None) -> Key:
    """Set or remove the budget of the key that is meant by `which`, lift a block that an overrun left, and return it.

    Raises:
        StoreError: as `revoke_key`.
    """

    def change(connection: Connection, key: Key) -> None:
        _set_budget(connection, clock, key, budget)

    return _change(engine, which, change)


def _set_budget(connection: Connection, clock: Clock, key: Key, amount: Nano | None) -> None:
    own = [b.id for b in find_budgets(connection) if (b.scope, b.subject) == (Scope.KEY, key.id) and _is_plain(b)]
    if amount is None:
        for budget in own:
            end_budget(connection, clock, budget)
    elif own:
        set_amount(connection, own[0], amount)
    else:
        add_budget(connection, clock, Budget(id=0, scope=Scope.KEY, subject=key.id, label=key.name, amount=amount))


def _is_plain(budget: Budget) -> bool:
    return budget.hard and budget.span is Span.TOTAL


def change_limits(engine: Engine, which: str, limits: KeyLimits) -> Key:
    """Set how often the key that is meant by `which` may call, and return it.

    Raises:
        StoreError: as `revoke_key`.
    """

    def change(connection: Connection, key: Key) -> None:
        wanted = update(keys).where(keys.c.id == key.id).values(limits=msgspec.json.encode(limits).decode())
        connection.execute(wanted)

    return _change(engine, which, change)


def find_keys(connection: Connection, digest: bytes | None = None) -> list[Key]:
    """Return the keys that the store has (the one of this digest, if one is given), the newest last."""
    wanted = _all_keys()
    if digest is not None:
        wanted = wanted.where(keys.c.digest == digest)
    return [_key(row) for row in connection.execute(wanted).mappings()]


def keys_epoch(connection: Connection) -> int:
    """Return the number that every change of a key or a budget raises."""
    return connection.execute(select(epochs.c.epoch).where(epochs.c.name == "keys")).scalar_one()


def _change(engine: Engine, which: str, change: Callable[[Connection, Key], None]) -> Key:
    with writing(engine) as connection:
        _bump(connection)
        key = _select(find_keys(connection), which)
        change(connection, key)
        return find_keys(connection, key.digest)[0]


def _select(known: Sequence[Key], which: str) -> Key:
    """The key that is meant: by id, else by name, else by hint; one that is not revoked, if there is one."""
    if which.startswith(PREFIX):
        wanted = digest(which)
        which = "…" + which[-_HINT:]  # a secret is not repeated, not even to whoever typed it
        known = [key for key in known if key.digest == wanted]
    for named in (
        [key for key in known if key.id == which],
        [key for key in known if key.name == which],
        [key for key in known if key.hint == which.removeprefix("…").removeprefix("...")],
    ):
        live = [key for key in named if key.revoked_at is None] or named[-1:]
        if len(live) > 1:
            ids = ", ".join(key.id for key in live)
            raise StoreError(f"More than one key is called {which!r}: {ids}. Name one of them by its id.")
        if live:
            return live[0]
    raise StoreError(f"No key has the id, the name or the last characters {which!r}; `komeet key list` shows them all.")


def _bump(connection: Connection) -> None:
    """Raise the epoch, and keep whoever else changes keys waiting until this transaction ends."""
    connection.execute(update(epochs).where(epochs.c.name == "keys").values(epoch=epochs.c.epoch + 1))


def _all_keys() -> Select[Any]:
    plain = (
        (budgets.c.scope == Scope.KEY.value)
        & (budgets.c.subject == keys.c.id)
        & (budgets.c.span == Span.TOTAL.value)
        & budgets.c.hard
        & budgets.c.ended_at.is_(None)
    )
    joined = (
        keys.outerjoin(budgets, plain)
        .outerjoin(users, users.c.id == keys.c.user_id)
        .outerjoin(projects, projects.c.id == keys.c.project_id)
        .outerjoin(organisations, organisations.c.id == keys.c.organisation_id)
    )
    chosen = select(
        keys,
        budgets.c.amount.label("budget"),
        select(epochs.c.epoch).where(epochs.c.name == "budgets").scalar_subquery().label("books"),
        users.c.account_id.label("user_account"),
        projects.c.account_id.label("project_account"),
        organisations.c.account_id.label("organisation_account"),
        *(table.c.name.label(f"{kind}_name") for kind, table in _TABLES.items()),
        *(table.c.archived_at.label(f"{kind}_archived_at") for kind, table in _TABLES.items()),
    )
    return chosen.select_from(joined).order_by(keys.c.created_at, keys.c.id)


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "hint": key.hint,
        "account_id": key.account,
        "models": names_text(key.models),
        "tags": names_text(key.tags),
        "store_bodies": key.store_bodies,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "organisation_id": key.organisation,
        "project_id": key.project,
        "user_id": key.user,
        "limits": msgspec.json.encode(key.limits).decode(),
    }


def _key(row: RowMapping) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        digest=row["digest"],
        hint=row["hint"],
        account=row["account_id"],
        above=tuple(row[f"{kind}_account"] for kind in _ABOVE if row[f"{kind}_account"] is not None),
        organisation=row["organisation_id"],
        project=row["project_id"],
        user=row["user_id"],
        limits=msgspec.json.decode(row["limits"], type=KeyLimits),
        budget=row["budget"],
        books=row["books"],
        models=names_of(row["models"]),
        tags=names_of(row["tags"]),
        store_bodies=row["store_bodies"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        archived=_archived(row),
    )


def _archived(row: RowMapping) -> str:
    kind = next((kind for kind in reversed(_ABOVE) if row[f"{kind}_archived_at"] is not None), None)
    return "" if kind is None else f"{kind} {row[f'{kind}_name']!r}"
