"""What a caller is told when a hold is denied."""

from datetime import datetime
from zoneinfo import ZoneInfo

from komeet.core.errors import BudgetExceeded
from komeet.core.money import dollars
from komeet.ledger.budget import bounds
from komeet.ledger.leases import Denied, WindowState


def explain(denied: Denied) -> BudgetExceeded:
    """Return the error: which budget, its limit, what is spent and held, when it begins anew, and what to do."""
    state = denied.state
    title = state.budget.title
    books = (
        f"limit ${dollars(state.budget.amount)}, spent ${dollars(state.posted)}, held for calls in flight "
        f"${dollars(state.held + state.leased)}"
    )
    if state.budget.blocked:
        return BudgetExceeded(
            f"The budget of {title} is blocked, because a provider billed more than was reserved ({books}). "
            "Ask whoever operates this gateway to look into it and to lift the block.",
            room=0,
        )
    return BudgetExceeded(
        f"The budget of {title} has no room for this call: {books}, and this call may cost up to "
        f"${dollars(denied.amount)}.{_anew(state)} Ask for less output (max_tokens), wait for calls in flight to end, "
        "or raise the budget.",
        room=denied.room,
    )


def _anew(state: WindowState) -> str:
    end = bounds(state.budget.span, state.budget.zone, state.starts_at).end
    if end is None:
        return ""
    moment = datetime.fromtimestamp(end // 1000, ZoneInfo(state.budget.zone))
    return f" It begins anew at {moment.isoformat(sep=' ', timespec='minutes')} ({state.budget.zone})."
