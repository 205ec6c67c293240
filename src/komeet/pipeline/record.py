"""One line about the call, for the request log and the metrics."""

from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.metering.cost import saved_by_cache
from komeet.pipeline.answer import KEPT_BODY
from komeet.pipeline.call import REFUSED, Attempt, Call
from komeet.pipeline.ports import Ports
from komeet.pipeline.trail import trail_of

CALLER_LEFT = 499
"""nginx's status for a caller that left before its answer."""


def record(call: Call, ports: Ports) -> None:
    """Tell every observer how the call ended."""
    attempt = call.attempts[-1] if call.attempts else None
    key, envelope = call.key, call.envelope
    keep = key is not None and key.store_bodies
    hit = call.hit
    line = CallRecord(
        request_id=call.id,
        at=call.arrived_at,
        surface=call.surface,
        key_id=key.id if key else "",
        tags=key.tags if key else (),
        model_asked=envelope.model[:256] if envelope else "",
        model_served=attempt.model_served if attempt else hit.model_served if hit else "",
        provider=attempt.candidate.provider.name if attempt else "",
        attempt_id=attempt.id if attempt else "",
        attempts=len(call.attempts),
        status=call.status or CALLER_LEFT,
        error=_error(call, attempt),
        usage=(attempt.usage if attempt else None) or Usage(),
        cost=attempt.cost if attempt else Nano(0),
        estimated=bool(attempt and attempt.estimated),
        unpriced=bool(attempt and attempt.usage is not None and attempt.candidate.price is None),
        streamed=bool(envelope and envelope.stream),
        latency_us=call.latency_us,
        first_token_us=attempt.first_token_us if attempt else None,
        bytes_in=len(call.request.body),
        bytes_out=call.reply.sent,
        losses=tuple(loss.path for loss in attempt.losses) if attempt else (),
        upstream_request_id=attempt.upstream_request_id if attempt else "",
        replay_of=call.replay_of,
        trail=trail_of(call),
        cache=call.cache,
        saved=hit.cost if hit else Nano(0),
        prompt_saved=_prompt_saved(attempt),
        request_body=call.request.body[:KEPT_BODY] if keep else None,
        response_body=_received(call, attempt) if keep else None,
    )
    for observer in ports.observers:
        observer.ended(line)
    if call.filling is not None:
        call.filling.ended(call)


def _received(call: Call, attempt: Attempt | None) -> bytes | None:
    if call.hit is not None and call.told is not None:
        return call.told[:KEPT_BODY]
    return b"".join(attempt.received)[:KEPT_BODY] if attempt and attempt.received else None


def _prompt_saved(attempt: Attempt | None) -> Nano:
    if attempt is None or attempt.usage is None or attempt.candidate.price is None:
        return Nano(0)
    return saved_by_cache(attempt.usage, attempt.candidate.price, tier=attempt.service_tier)


def _error(call: Call, attempt: Attempt | None) -> str:
    if call.error is not None:
        return call.error.error_code
    return REFUSED if attempt is not None and attempt.passed is not None else ""
