"""The end of an attempt: exactly one outcome for each hold, whatever happened."""

from msgspec.structs import replace

from komeet.core.errors import InternalError, KomeetError
from komeet.ledger.port import Outcome, State
from komeet.pipeline.answer import elapsed_us
from komeet.pipeline.bill import estimate_usage, price_usage, price_version
from komeet.pipeline.call import REFUSED, Attempt, Call
from komeet.pipeline.ports import Ports
from komeet.pipeline.record import record

CONTINUED = "continued"
"""The reason of an attempt that ended what another one had begun to tell the caller."""

_NOT_COUNTED = "not_counted"
"""The reason of an attempt whose tokens nobody told, and that were not counted here either."""


def settle(call: Call, attempt: Attempt, error: BaseException | None, ports: Ports) -> bool:
    """Hand the attempt's outcome to the ledger.

    Returns whether it is settled; False when tokens must first be counted, which a task of its own does (and then
    settles it): metering outlives the caller.
    """
    call.latency_us = elapsed_us(call, ports)
    if attempt.held is None:
        return True
    reason = _reason(attempt, error)
    if not attempt.sent or attempt.refused:
        _end(call, attempt, State.VOIDED, reason, ports)
    elif not attempt.accepted:
        # It was sent and nobody knows what it cost: no status came back, or one that does not say it.
        _end(call, attempt, State.ORPHAN, reason, ports)
    elif attempt.usage is not None:
        _end(call, attempt, State.SETTLED, reason, ports)
    elif attempt.failed is not None and attempt.tap is not None and not attempt.tap.first_content:
        _end(call, attempt, State.VOIDED, reason, ports)
    elif attempt.completed or attempt.tap is not None:
        ports.tasks.spawn("estimate", _estimate(call, attempt, reason, ports))
        return False
    else:
        _end(call, attempt, State.ORPHAN, reason, ports)
    return True


async def _estimate(call: Call, attempt: Attempt, reason: str, ports: Ports) -> None:
    """Count, settle, and record; what cannot be counted (a fault, or the end of the process) is an orphan."""
    state = State.ORPHAN
    try:
        await estimate_usage(call, attempt, ports)
        price_usage(attempt)
        state = State.SETTLED
    finally:
        _end(call, attempt, state, reason if state is State.SETTLED else _NOT_COUNTED, ports)
        if attempt is call.attempts[-1]:  # else another one answers the call, whose end is recorded
            ports.limits.end(call, counted=True)
            record(call, ports)


def _end(call: Call, attempt: Attempt, state: State, reason: str, ports: Ports) -> None:
    settled = state is State.SETTLED
    usage = attempt.usage if settled else None
    price = attempt.candidate.price
    outcome = Outcome(
        attempt_id=attempt.id,
        state=state,
        cost=attempt.cost,
        charge=attempt.charge,
        estimated=attempt.estimated,
        unpriced=settled and price is None,
        price_version=price_version(attempt),
        model_served=attempt.model_served,
        reason=reason,
        latency_us=call.latency_us,
        first_token_us=attempt.first_token_us,
        ended_at=ports.clock.unix_ms(),
    )
    ports.ledger.end(outcome if usage is None else replace(outcome, usage=usage))


def _reason(attempt: Attempt, error: BaseException | None) -> str:
    if attempt.failed is not None:
        return attempt.failed.error_code
    match error:
        case None:
            return REFUSED if attempt.passed is not None else CONTINUED if attempt.continues else ""
        case KomeetError():
            return error.error_code
        case Exception():
            return InternalError.code
        case _:  # it was cancelled
            return "caller_left"
