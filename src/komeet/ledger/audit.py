"""The books, derived again from their rows: what the kept balances must equal."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from komeet.core.money import Nano
from komeet.ledger.accounts import Balance, Ended, Leg, Posting
from komeet.ledger.budget import Window, window_of
from komeet.ledger.port import Hold, State


def rebuild(holds: Iterable[Hold], ended: Iterable[Ended], postings: Iterable[Posting]) -> dict[int, Balance]:
    """Return the balances that follow from the rows; an account whose balances are both zero is left out."""
    released = {end.outcome.attempt_id for end in ended if end.outcome.state is not State.ORPHAN}
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


def rebuild_windows(holds: Iterable[Hold], ended: Iterable[Ended]) -> dict[Window, Spent]:
    """Return the numbers of each window that follow from the rows."""
    outcomes = {end.outcome.attempt_id: end.outcome for end in ended}
    numbers: defaultdict[Window, list[int]] = defaultdict(lambda: [0, 0, 0])
    for hold in holds:
        outcome = outcomes.get(hold.attempt_id)
        for share in hold.shares:
            window = numbers[window_of(share)]
            if outcome is None:
                window[2] += share.amount if share.hard else 0
            elif outcome.state is State.SETTLED:
                window[0] += outcome.charged if share.charged else outcome.cost
            elif outcome.state is State.ORPHAN and share.hard:
                window[1] += share.amount
    return {window: Spent(Nano(a), Nano(b), Nano(c)) for window, (a, b, c) in sorted(numbers.items())}


def faults(holds: Iterable[Hold], ended: Iterable[Ended], postings: Iterable[Posting]) -> list[str]:
    """Return the attempts, in order, whose rows contradict each other; empty when the books are right.

    An attempt is at fault if it has more than one outcome, or one without a hold, or if its postings are not those of
    its cost and charge: CHARGE = charge on the first account of the hold, CONTRA = -cost, MARGIN = cost - charge, one
    ROLLUP = charge on each other account; none of these where it is 0.
    """
    chains = {hold.attempt_id: hold.accounts for hold in holds}
    expected: dict[str, tuple[int, int, tuple[int, ...]]] = {}
    wrong: set[str] = set()
    for end in ended:
        attempt = end.outcome.attempt_id
        if attempt in expected or attempt not in chains:
            wrong.add(attempt)
            continue
        expected[attempt] = (end.outcome.cost, end.outcome.charged, chains[attempt])
    legs: defaultdict[str, list[Posting]] = defaultdict(list)
    for posting in postings:
        legs[posting.attempt_id].append(posting)
    wrong |= legs.keys() - expected.keys()
    wrong |= {attempt for attempt, wanted in expected.items() if not _agrees(legs.get(attempt, []), *wanted)}
    return sorted(wrong)


def _agrees(postings: Sequence[Posting], cost: int, charge: int, chain: Sequence[int]) -> bool:
    found = {leg: [(p.account, p.amount) for p in postings if p.leg is leg] for leg in Leg}
    charged = found[Leg.CHARGE] == ([(chain[0], charge)] if charge else [])
    billed = [amount for _, amount in found[Leg.CONTRA]] == ([-cost] if cost else [])
    earned = [amount for _, amount in found[Leg.MARGIN]] == ([cost - charge] if cost != charge else [])
    rolled_up = found[Leg.ROLLUP] == ([(account, charge) for account in chain[1:]] if charge else [])
    return charged and billed and earned and rolled_up
