"""Credits: granted, redeemed or paid in; an organisation that has any is prepaid: it may spend them and no more.

A prepaid organisation is one with a hard budget for all time whose amount is the sum of its credits. Each credit is an
entry with postings, and raises that budget in the same transaction; a reference that was entered before changes
nothing.
"""

import hashlib
import secrets
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, Engine, func, insert, select, update

from komeet.core.clock import Clock
from komeet.core.money import Nano, dollars
from komeet.core.secrets import Secret
from komeet.ledger.accounts import Kind
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.entries import CREDITS, Entry, EntryError, EntryKind, Note, credit
from komeet.store.budgets import add_budget, budgets_of, find_budgets, set_amount
from komeet.store.entries import entry_of, write_effect
from komeet.store.errors import StoreError
from komeet.store.ledger_rows import bump
from komeet.store.people import Group, Member, find
from komeet.store.tables import accounts, entries, postings, vouchers
from komeet.store.transactions import writing

_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Of these a voucher is written: none that is taken for another."""
_GROUPS, _GROUP = 5, 5
"""25 letters of 32: 125 bits of chance."""
_PREFIX: Final = "KM"
_HINT: Final = 4


class Credited(Struct, frozen=True):
    """What became of a credit."""

    entry: Entry
    organisation: Member
    balance: Nano
    """The sum of its credits."""
    new: bool
    """False: it had been entered before, and nothing was done."""


def give(
    engine: Engine,
    clock: Clock,
    organisation: str,
    amount: Nano,
    *,
    kind: EntryKind = EntryKind.GRANT,
    reference: str = "",
    reason: str,
    actor: str,
) -> Credited:
    """Give an organisation credit, which makes it prepaid.

    Args:
        engine: of the ledger.
        clock: says when it was entered.
        organisation: its id or its name.
        amount: nano-dollars; below 0 takes back.
        kind: a grant, or a payment.
        reference: what must not be entered twice: a payment's id. Empty: it is entered each time.
        reason: for people.
        actor: who enters it.

    Raises:
        StoreError: there is no such organisation; or it has another hard budget for all time; or no more can be taken
            back than was given; or the reference was entered with another amount or for another organisation.
    """
    with writing(engine) as connection:
        return _enter(connection, clock, organisation, amount, kind, reference, Note(reason, actor, clock.unix_ms()))


def credits_of(engine: Engine, organisation: str) -> tuple[Member, list[Entry]]:
    """Return an organisation's credits, oldest first.

    Raises:
        StoreError: there is no such organisation.
    """
    with engine.connect() as connection, connection.begin():
        found = find(connection, Group.ORGANISATION, organisation)
        chosen = (
            select(entries)
            .join(postings, postings.c.entry_id == entries.c.id)
            .where(postings.c.account_id == found.account, entries.c.kind.in_([kind.value for kind in CREDITS]))
            .order_by(entries.c.id)
        )
        return found, [entry_of(row) for row in connection.execute(chosen).mappings()]


class Voucher(Struct, frozen=True, kw_only=True):
    """What is known of a voucher, but never its code."""

    hint: str
    """The last characters of its code."""
    amount: Nano
    created_at: int
    """Unix milliseconds."""
    expires_at: int | None
    redeemed_at: int | None
    redeemed_by: str | None
    """The id of an organisation."""


def create_voucher(engine: Engine, clock: Clock, amount: Nano, expires_at: int | None = None) -> Secret:
    """Make a voucher; its code is returned here and kept nowhere.

    Args:
        engine: of the ledger.
        clock: says when it was made.
        amount: nano-dollars.
        expires_at: Unix milliseconds; None: never.

    Raises:
        StoreError: the amount is 0.
    """
    if amount <= 0:
        raise StoreError("A voucher of $0 is worth nothing.")
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    code = "-".join((_PREFIX, *groups))
    with writing(engine) as connection:
        connection.execute(
            insert(vouchers).values(
                digest=_digest(code),
                hint=code[-_HINT:],
                amount=amount,
                created_at=clock.unix_ms(),
                expires_at=expires_at,
            )
        )
    return Secret(code)


def list_vouchers(engine: Engine) -> list[Voucher]:
    """Return all vouchers, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(vouchers).order_by(vouchers.c.created_at, vouchers.c.hint)).mappings()
        return [
            Voucher(
                hint=row["hint"],
                amount=Nano(row["amount"]),
                created_at=row["created_at"],
                expires_at=row["expires_at"],
                redeemed_at=row["redeemed_at"],
                redeemed_by=row["redeemed_by"],
            )
            for row in rows
        ]


def redeem(engine: Engine, clock: Clock, code: str, organisation: str, actor: str) -> Credited:
    """Give an organisation what a voucher is worth, once.

    Args:
        engine: of the ledger.
        clock: says when it was redeemed.
        code: as it was shown; spaces, dashes and small letters do not matter.
        organisation: its id or its name.
        actor: who redeems it.

    Raises:
        StoreError: there is no such voucher, or it has been redeemed or has expired; or as `give`.
    """
    digest, now = _digest(code), clock.unix_ms()
    with writing(engine) as connection:
        locking = select(vouchers).where(vouchers.c.digest == digest).with_for_update()
        row = connection.execute(locking).mappings().first()
        if row is None:
            raise StoreError("There is no such voucher: check its code, letter by letter.")
        if row["redeemed_at"] is not None:
            raise StoreError(f"The voucher …{row['hint']} has been redeemed already.")
        if row["expires_at"] is not None and row["expires_at"] <= now:
            raise StoreError(f"The voucher …{row['hint']} has expired.")
        note = Note(f"voucher …{row['hint']}", actor, now)
        done = _enter(connection, clock, organisation, Nano(row["amount"]), EntryKind.VOUCHER, digest.hex(), note)
        used = {"redeemed_at": now, "redeemed_by": done.organisation.id}
        connection.execute(update(vouchers).where(vouchers.c.digest == digest).values(used))
        return done


def _digest(code: str) -> bytes:
    plain = "".join(sign for sign in code.upper() if sign.isalnum())
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).digest()


def _enter(
    connection: Connection, clock: Clock, which: str, amount: Nano, kind: EntryKind, reference: str, note: Note
) -> Credited:
    bump(connection, "budgets")  # whoever else enters a credit waits until this transaction ends
    found = find(connection, Group.ORGANISATION, which)
    before = _known(connection, kind, reference)
    if before is not None:
        entry, account = before
        if account != found.account or entry.charge != -amount:
            raise StoreError(
                f"The {kind} {reference!r} was entered before, with another amount (${dollars(-entry.charge)}) or for"
                " another organisation."
            )
        return Credited(entry, found, _balance(connection, found), new=False)
    try:
        effect = credit(kind, found.account, _adjustments(connection), amount, reference, note)
    except EntryError as error:
        raise StoreError(str(error)) from None
    entry = write_effect(connection, effect)
    _raise_budget(connection, clock, found, amount)
    return Credited(entry, found, _balance(connection, found), new=True)


def _known(connection: Connection, kind: EntryKind, reference: str) -> tuple[Entry, int] | None:
    """The entry of a reference, and the account that it was for."""
    if not reference:
        return None
    chosen = (
        select(entries, postings.c.account_id)
        .join(postings, postings.c.entry_id == entries.c.id)
        .where(entries.c.kind == kind.value, entries.c.reference == reference, postings.c.leg == "charge")
    )
    row = connection.execute(chosen).mappings().first()
    return None if row is None else (entry_of(row), row["account_id"])


def _adjustments(connection: Connection) -> int:
    kind = Kind.ADJUSTMENTS.value
    found = connection.execute(select(accounts.c.id).where(accounts.c.kind == kind)).scalar()
    if found is not None:
        return int(found)
    added = connection.execute(insert(accounts).values(kind=kind, name=kind)).inserted_primary_key
    assert added is not None
    return int(added[0])


def _raise_budget(connection: Connection, clock: Clock, organisation: Member, amount: Nano) -> None:
    all_time = [
        budget
        for budget in budgets_of(find_budgets(connection), Scope.ORGANISATION, organisation.id)
        if budget.hard and budget.span is Span.TOTAL
    ]
    if not all_time:
        if amount < 0:
            raise StoreError(f"The organisation {organisation.name!r} has no credits that could be taken back.")
        prepaid = Budget(
            id=0,
            scope=Scope.ORGANISATION,
            subject=organisation.id,
            label=organisation.name,
            amount=amount,
            prepaid=True,
        )
        add_budget(connection, clock, prepaid)
        return
    budget = all_time[0]
    if not budget.prepaid:
        raise StoreError(
            f"The organisation {organisation.name!r} has budget {budget.id}, a hard one for all time that is not"
            f" prepaid; `komeet budget end {budget.id}` ends it."
        )
    total = budget.amount + amount
    if total < 0:
        raise StoreError(f"The organisation {organisation.name!r} was given ${dollars(budget.amount)}, not as much.")
    set_amount(connection, budget.id, Nano(total), lift=False)


def _balance(connection: Connection, organisation: Member) -> Nano:
    credited = (
        select(func.coalesce(func.sum(postings.c.amount), 0))
        .join(entries, entries.c.id == postings.c.entry_id)
        .where(postings.c.account_id == organisation.account, entries.c.kind.in_([kind.value for kind in CREDITS]))
    )
    return Nano(-int(connection.execute(credited).scalar_one()))
