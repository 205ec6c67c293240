"""Entries: what is posted besides calls. Nothing is ever changed: an entry names what it corrects, and adds to it.

- A RESOLUTION ends an orphan: what it held is released, and what it turned out to cost is posted.
- A CORRECTION changes what an attempt cost or what was charged for it; a REPRICING does so by the price book.
- A GRANT, a VOUCHER and a PAYMENT are credits: what an organisation owes falls by their amount.

The postings of an entry sum to zero as those of a call do (`ledger.accounts`): of one about an attempt they are the
legs of the difference; of a credit, CHARGE = -amount on the organisation's account and CONTRA = +amount on that of
adjustments.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from komeet.core.money import Nano, dollars
from komeet.ledger.accounts import Ended, Leg, legs
from komeet.ledger.budget import Window, window_of
from komeet.ledger.decide import Change, WindowChange
from komeet.ledger.port import Hold, State


class EntryKind(StrEnum):
    """Why something was entered."""

    RESOLUTION = "resolution"
    CORRECTION = "correction"
    REPRICING = "repricing"
    GRANT = "grant"
    VOUCHER = "voucher"
    PAYMENT = "payment"


CREDITS: Final = frozenset({EntryKind.GRANT, EntryKind.VOUCHER, EntryKind.PAYMENT})
"""The kinds that are about an organisation, and not about an attempt."""


class Entry(Struct, frozen=True, kw_only=True):
    """One entry; `cost` and `charge` are what it changes."""

    id: int = 0
    """Of its row; 0: it has none yet."""
    kind: EntryKind
    attempt_id: str | None = None
    """The attempt that it is about; None: a credit."""
    reference: str = ""
    """What must not be entered twice with the same kind; empty where that cannot be."""
    cost: Nano = Nano(0)
    charge: Nano = Nano(0)
    """Of a credit: below 0."""
    reason: str
    actor: str
    """Who entered it."""
    created_at: int
    """Unix milliseconds."""


class Note(Struct, frozen=True):
    """Why, by whom and when something is entered."""

    reason: str
    actor: str
    at: int
    """Unix milliseconds."""


class Effect(Struct, frozen=True):
    """What an entry does; nothing has happened yet."""

    entry: Entry
    legs: tuple[tuple[int, Leg, int], ...]
    """On which account, as which leg, how much."""
    changes: Mapping[int, Change]
    """By account."""
    windows: Mapping[Window, WindowChange]


class Attempt(Struct, frozen=True, kw_only=True):
    """An attempt that has ended, with all that was entered about it."""

    hold: Hold
    ended: Ended
    entries: tuple[Entry, ...] = ()

    @property
    def cost(self) -> Nano:
        """What the provider bills, as far as it is known now."""
        return Nano(self.ended.outcome.cost + sum(entry.cost for entry in self.entries))

    @property
    def charge(self) -> Nano:
        """What the customer is charged, as far as it is known now."""
        return Nano(self.ended.outcome.charged + sum(entry.charge for entry in self.entries))

    @property
    def unresolved(self) -> bool:
        """Whether it is an orphan that nobody has resolved."""
        return self.ended.outcome.state is State.ORPHAN and not resolved(self.entries)


class Books(Struct, frozen=True):
    """The accounts that an entry about an attempt needs besides those of the attempt."""

    provider: int
    margin: int


class EntryError(Exception):
    """This cannot be entered; the message says why, and what can."""


def resolved(entries: Iterable[Entry]) -> bool:
    """Whether one of them is a resolution."""
    return any(entry.kind is EntryKind.RESOLUTION for entry in entries)


def resolve(attempt: Attempt, books: Books, cost: Nano, charge: Nano, note: Note) -> Effect:
    """Return what ends an orphan: all that it held is released, cost and charge are posted.

    Raises:
        EntryError: it is none, or has been resolved.
    """
    name = attempt.hold.attempt_id
    if attempt.ended.outcome.state is not State.ORPHAN:
        raise EntryError(f"{name} was {attempt.ended.outcome.state}: `komeet ledger correct` changes what it cost.")
    if not attempt.unresolved:
        raise EntryError(f"{name} has been resolved: `komeet ledger correct` changes what it cost.")
    _require_amounts(cost, charge)
    entry = Entry(
        kind=EntryKind.RESOLUTION,
        attempt_id=name,
        reference=name,
        cost=cost,
        charge=charge,
        reason=note.reason,
        actor=note.actor,
        created_at=note.at,
    )
    return _effect(entry, attempt.hold, books, release=True)


def correct(
    attempt: Attempt, books: Books, cost: Nano, charge: Nano, note: Note, kind: EntryKind = EntryKind.CORRECTION
) -> Effect | None:
    """Return what makes an attempt cost this much in all; None where it does already.

    Args:
        attempt: has ended.
        books: the accounts besides its own.
        cost: nano-dollars that the provider bills in all.
        charge: nano-dollars that the customer is charged in all.
        note: why, by whom, when.
        kind: a correction, or a repricing.

    Raises:
        EntryError: it is an orphan that is to be resolved first.
    """
    if attempt.unresolved:
        raise EntryError(f"{attempt.hold.attempt_id} is an orphan: `komeet ledger resolve` says what it cost.")
    _require_amounts(cost, charge)
    entry = Entry(
        kind=kind,
        attempt_id=attempt.hold.attempt_id,
        cost=Nano(cost - attempt.cost),
        charge=Nano(charge - attempt.charge),
        reason=note.reason,
        actor=note.actor,
        created_at=note.at,
    )
    return _effect(entry, attempt.hold, books, release=False) if entry.cost or entry.charge else None


def credit(kind: EntryKind, account: int, adjustments: int, amount: Nano, reference: str, note: Note) -> Effect:
    """Return what gives an organisation credit.

    Args:
        kind: a grant, a voucher or a payment.
        account: the organisation's.
        adjustments: the account of adjustments.
        amount: nano-dollars; below 0 takes back.
        reference: what must not be entered twice.
        note: why, by whom, when.

    Raises:
        EntryError: the amount is 0.
    """
    if not amount:
        raise EntryError("A credit of $0 changes nothing.")
    entry = Entry(
        kind=kind,
        reference=reference,
        charge=Nano(-amount),
        reason=note.reason,
        actor=note.actor,
        created_at=note.at,
    )
    both = ((account, Leg.CHARGE, -amount), (adjustments, Leg.CONTRA, int(amount)))
    return Effect(entry, both, _changes(both, {}), {})


def _require_amounts(cost: int, charge: int) -> None:
    for name, amount in (("cost", cost), ("charge", charge)):
        if amount < 0:
            raise EntryError(f"A {name} of ${dollars(amount)} cannot be: write what it comes to in all, 0 or more.")


def _effect(entry: Entry, hold: Hold, books: Books, *, release: bool) -> Effect:
    posted = tuple(legs(hold.accounts, books.provider, books.margin, entry.cost, entry.charge))
    held = dict.fromkeys(hold.accounts, -hold.most_charged) if release else {}
    return Effect(entry, posted, _changes(posted, held), _windows(entry, hold, release=release))


def _changes(posted: Iterable[tuple[int, Leg, int]], held: Mapping[int, int]) -> dict[int, Change]:
    sums: dict[int, int] = {}
    for account, _, amount in posted:
        sums[account] = sums.get(account, 0) + amount
    changes = {a: Change(Nano(sums.get(a, 0)), Nano(held.get(a, 0))) for a in sorted({*sums, *held})}
    return {account: change for account, change in changes.items() if change.posted or change.held}


def _windows(entry: Entry, hold: Hold, *, release: bool) -> dict[Window, WindowChange]:
    changes: dict[Window, WindowChange] = {}
    for share in hold.shares:
        before = changes.get(window_of(share), WindowChange())
        spent = entry.charge if share.charged else entry.cost
        freed = share.amount if release and share.hard else 0
        changes[window_of(share)] = WindowChange(Nano(before.posted + spent), Nano(before.held - freed))
    return {window: change for window, change in sorted(changes.items()) if change.posted or change.held}
