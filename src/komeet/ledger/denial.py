"""What a caller is told when a hold is denied."""

from komeet.core.errors import BudgetExceeded
from komeet.core.money import dollars
from komeet.ledger.decide import Denied


def explain(denied: Denied) -> BudgetExceeded:
    """Return the error that names the account, its limit, what is posted and held, and how to go on."""
    account = denied.account
    where = f"{account.kind} {account.name!r}"
    limit = "none" if account.limit is None else f"${dollars(account.limit)}"
    books = f"limit {limit}, spent ${dollars(account.posted)}, held for calls in flight ${dollars(account.held)}"
    if account.blocked:
        return BudgetExceeded(
            f"The budget of {where} is blocked, because a provider billed more than was reserved ({books}). "
            "Ask whoever operates this gateway to look into it and to lift the block.",
            room=0,
        )
    return BudgetExceeded(
        f"The budget of {where} has no room for this call: {books}, and this call may cost up to "
        f"${dollars(denied.amount)}. Ask for less output (max_tokens), wait for calls in flight to end, or raise the "
        "budget.",
        room=denied.room,
    )
