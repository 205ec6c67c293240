"""What may be written: numbers that fit and text that any database takes, whatever a provider sent."""

from typing import cast

from msgspec import structs

from komeet.core.money import Nano
from komeet.ledger.accounts import MOST
from komeet.ledger.port import Hold, Outcome, Share, State

LONGEST = 512
"""Characters of a name that are kept."""

UNBELIEVABLE = "unbelievable_usage"
"""The reason of an attempt that was reported with a number below zero or beyond 64 bits."""


def screen_text(text: str) -> str:
    """Return `text` in valid Unicode, without NUL, and of at most `LONGEST` characters."""
    if len(text) <= LONGEST and text.isascii() and text.isprintable():
        return text
    return text[:LONGEST].encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def screen_hold(hold: Hold, shares: tuple[Share, ...] = ()) -> Hold:
    """Return the hold as it is kept: each account once, in order, the names that callers chose screened, its shares."""
    accounts = hold.accounts if len(hold.accounts) == 1 else tuple(dict.fromkeys(hold.accounts))
    names = hold.model, hold.model_asked, *hold.tags
    model, model_asked, *tags = screened = tuple(screen_text(name) for name in names)
    if screened == names and accounts == hold.accounts and shares == hold.shares:
        return hold
    return structs.replace(
        hold, accounts=accounts, model=model, model_asked=model_asked, tags=tuple(tags), shares=shares
    )


def screen_outcome(outcome: Outcome) -> Outcome:
    """Return the outcome as it is kept: a cost only if it settles, and an orphan if its numbers cannot be true."""
    numbers = (
        outcome.cost,
        outcome.charged,
        outcome.latency_us,
        outcome.first_token_us or 0,
        *cast("tuple[int, ...]", structs.astuple(outcome.usage)),
    )
    if min(numbers) < 0 or max(numbers) > MOST:
        return Outcome(
            attempt_id=outcome.attempt_id,
            state=State.ORPHAN,
            reason=UNBELIEVABLE,
            price_version=screen_text(outcome.price_version),
            model_served=screen_text(outcome.model_served),
            ended_at=outcome.ended_at,
        )
    if outcome.state is not State.SETTLED and (outcome.cost or outcome.charge is not None):
        outcome = structs.replace(outcome, cost=Nano(0), charge=None)
    names = outcome.price_version, outcome.model_served, outcome.reason
    price_version, model_served, reason = screened = tuple(screen_text(name) for name in names)
    if screened == names:
        return outcome
    return structs.replace(outcome, price_version=price_version, model_served=model_served, reason=reason)
