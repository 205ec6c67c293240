"""The books, derived again from their rows: what the kept balances must equal."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from komeet.core.money import Nano
from komeet.ledger.accounts import Balance, Ended, Leg, Posting
from komeet.ledger.budget import Window, window_of
from komeet.ledger.entries import CREDITS, Entry, EntryKind
from komeet.ledger.port import Hold, State


def rebuild(
    holds: Iterable[Hold], ended: Iterable[Ended], postings: Iterable[Posting], entries: Iterable[Entry] = ()
) -> dict[int, Balance]:
    """Return the balances that follow from the rows; an account whose balances are both zero is left out."""
    released = {end.outcome.attempt_id for end in ended if end.outcome.state is not State.ORPHAN}
    released |= {entry.attempt_id for entry in entries if entry.kind is EntryKind.RESOLUTION and entry.attempt_id}
    posted: defaultdict[int, int] = defaultdict(int)
    held: defaultdict[int, int] = defaultdict(int)
    for hold in holds:
        if hold.attempt_id not in released:
            for account in hold.accounts:
                held[account] += hold.most_charged
    for posting in postings:
        posted[posting.account] += posting.amount
    return {
        account: Balance(Nano(posted[account]), Nano(held[account]))
        for account in sorted({*posted, *held})
        if posted[account] or held[account]
    }


class Spent(Struct, frozen=True):
    """The numbers of a budget's window that follow from attempts."""

    posted: Nano = Nano(0)
    held: Nano = Nano(0)
    """By orphans."""
    in_flight: Nano = Nano(0)
    """By attempts without an outcome: at most what is leased."""


class Uncertain(Struct, frozen=True):
    """A lease of a process whose journal may lack its end."""

    window: Window
    amount: Nano
    spent: Nano | None
    """What was spent of it; None: nobody has said so yet."""


def rebuild_windows(
    holds: Iterable[Hold],
    ended: Iterable[Ended],
    entries: Iterable[Entry] = (),
    uncertain: Iterable[Uncertain] = (),
) -> dict[Window, Spent]:
    """Return the numbers of each window that follow from the rows."""
    outcomes = {end.outcome.attempt_id: end.outcome for end in ended}
    about: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.attempt_id is not None:
            about[entry.attempt_id].append(entry)
    numbers: defaultdict[Window, list[int]] = defaultdict(lambda: [0, 0, 0])
    for hold in holds:
        outcome, entered = outcomes.get(hold.attempt_id), about.get(hold.attempt_id, [])
        released = any(entry.kind is EntryKind.RESOLUTION for entry in entered)
        for share in hold.shares:
            window = numbers[window_of(share)]
            window[0] += sum(entry.charge if share.charged else entry.cost for entry in entered)
            if outcome is None:
                window[2] += share.amount if share.hard else 0
            elif outcome.state is State.SETTLED:
                window[0] += outcome.charged if share.charged else outcome.cost
            elif outcome.state is State.ORPHAN and share.hard and not released:
                window[1] += share.amount
    for lease in uncertain:
        numbers[lease.window][0 if lease.spent is not None else 1] += (
            lease.amount if lease.spent is None else lease.spent
        )
    return {window: Spent(Nano(a), Nano(b), Nano(c)) for window, (a, b, c) in sorted(numbers.items())}


def faults(
    holds: Iterable[Hold], ended: Iterable[Ended], postings: Iterable[Posting], entries: Iterable[Entry] = ()
) -> list[str]:
    """Return the attempts and entries, in order, whose rows contradict each other; empty when the books are right.

    An attempt is at fault if it has more than one outcome, or one without a hold, or if its postings are not those of
    its cost and charge: CHARGE = charge on the first account of the hold, CONTRA = -cost, MARGIN = cost - charge, one
    ROLLUP = charge on each other account; none of these where it is 0. An entry is at fault if its postings are not
    those of what it changes, if it is about an attempt that has not ended, or resolves what is not an open orphan.
    """
    chains = {hold.attempt_id: hold.accounts for hold in holds}
    expected: dict[str, tuple[int, int, tuple[int, ...]]] = {}
    states: dict[str, State] = {}
    wrong: set[str] = set()
    for end in ended:
        attempt = end.outcome.attempt_id
        if attempt in expected or attempt not in chains:
            wrong.add(attempt)
            continue
        expected[attempt] = (end.outcome.cost, end.outcome.charged, chains[attempt])
        states[attempt] = end.outcome.state
    legs: defaultdict[str, list[Posting]] = defaultdict(list)
    for posting in postings:
        legs[posting.attempt_id if posting.entry is None else _entry(posting.entry)].append(posting)
    for entry in entries:
        name = _entry(entry.id)
        if entry.kind in CREDITS:
            if not _credits(legs.get(name, []), entry.charge):
                wrong.add(name)
            legs.pop(name, None)
            continue
        attempt = entry.attempt_id or ""
        if attempt not in states or (entry.kind is EntryKind.RESOLUTION and states[attempt] is not State.ORPHAN):
            wrong.add(name)
        if entry.kind is EntryKind.RESOLUTION:
            states[attempt] = State.SETTLED
        expected[name] = (entry.cost, entry.charge, chains.get(attempt, ()))
    wrong |= legs.keys() - expected.keys()
    wrong |= {name for name, wanted in expected.items() if not _agrees(legs.get(name, []), *wanted)}
    return sorted(wrong)


def _entry(number: int) -> str:
    return f"entry {number}"


def _credits(postings: Sequence[Posting], charge: int) -> bool:
    """Whether the postings are those of a credit: the charge on one account, its contrary on another."""
    found = sorted((posting.leg, posting.amount) for posting in postings)
    return found == [(Leg.CHARGE, charge), (Leg.CONTRA, -charge)]


def _agrees(postings: Sequence[Posting], cost: int, charge: int, chain: Sequence[int]) -> bool:
    found = {leg: [(p.account, p.amount) for p in postings if p.leg is leg] for leg in Leg}
    charged = found[Leg.CHARGE] == [(account, charge) for account in chain[:1] if charge]
    billed = [amount for _, amount in found[Leg.CONTRA]] == ([-cost] if cost else [])
    earned = [amount for _, amount in found[Leg.MARGIN]] == ([cost - charge] if cost != charge else [])
    rolled_up = found[Leg.ROLLUP] == ([(account, charge) for account in chain[1:]] if charge else [])
    return charged and billed and earned and rolled_up
