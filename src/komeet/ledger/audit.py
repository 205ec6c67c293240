"""The books, derived again from their rows: what the kept balances must equal."""

from collections import defaultdict
from collections.abc import Iterable

from komeet.core.money import Nano
from komeet.ledger.accounts import Balance, Ended, Leg, Posting
from komeet.ledger.port import Hold, State


def rebuild(holds: Iterable[Hold], ended: Iterable[Ended], postings: Iterable[Posting]) -> dict[int, Balance]:
    """Return the balances that follow from the rows; an account whose balances are both zero is left out."""
    released = {end.outcome.attempt_id for end in ended if end.outcome.state is not State.ORPHAN}
    posted: defaultdict[int, int] = defaultdict(int)
    held: defaultdict[int, int] = defaultdict(int)
    for hold in holds:
        if hold.attempt_id not in released:
            for account in hold.accounts:
                held[account] += hold.amount
    for posting in postings:
        posted[posting.account] += posting.amount
    return {
        account: Balance(Nano(posted[account]), Nano(held[account]))
        for account in sorted({*posted, *held})
        if posted[account] or held[account]
    }


def faults(holds: Iterable[Hold], ended: Iterable[Ended], postings: Iterable[Posting]) -> list[str]:
    """Return the attempts, in order, whose rows contradict each other; empty when the books are right.

    An attempt is at fault if it has more than one outcome, or one without a hold, or if its postings are not those of
    its cost: CHARGE = cost on the first account of the hold, CONTRA = -cost, one ROLLUP = cost on each other account.
    """
    chains = {hold.attempt_id: hold.accounts for hold in holds}
    expected: dict[str, tuple[int, tuple[int, ...]]] = {}
    wrong: set[str] = set()
    for end in ended:
        attempt = end.outcome.attempt_id
        if attempt in expected or attempt not in chains:
            wrong.add(attempt)
            continue
        expected[attempt] = (end.outcome.cost, chains[attempt])
    legs: defaultdict[str, list[Posting]] = defaultdict(list)
    for posting in postings:
        legs[posting.attempt_id].append(posting)
    wrong |= legs.keys() - expected.keys()
    wrong |= {attempt for attempt, (cost, chain) in expected.items() if not _agrees(legs.get(attempt, []), cost, chain)}
    return sorted(wrong)


def _agrees(postings: list[Posting], cost: int, chain: tuple[int, ...]) -> bool:
    if not cost:
        return not postings
    charges = [(p.account, p.amount) for p in postings if p.leg is Leg.CHARGE]
    contras = [p.amount for p in postings if p.leg is Leg.CONTRA]
    rollups = [(p.account, p.amount) for p in postings if p.leg is Leg.ROLLUP]
    charged, billed = charges == [(chain[0], cost)], contras == [-cost]
    return charged and billed and rollups == [(account, cost) for account in chain[1:]]
