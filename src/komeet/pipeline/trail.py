"""What happened to a call on its way from candidate to candidate, for whoever asks afterwards."""

from typing import Final

from komeet.canonical.record import Tried
from komeet.core.errors import KomeetError, UpstreamRefused
from komeet.pipeline.call import Attempt, Call
from komeet.routing.route import AS_ASKED

_LONGEST: Final = 300
"""Characters of what was said."""
_MOST: Final = 50


def trail_of(call: Call) -> tuple[Tried, ...]:
    """Return who was asked, in order, and who was not, each with the reason.

    Nothing where the call went to the one that it named and nowhere else: the rest of its record says the same.
    """
    if call.plan is None or not call.attempts + call.left_alone:
        return ()
    if len(call.attempts) == 1 and not call.left_alone and call.attempts[0].why == AS_ASKED:
        return ()
    asked = [_asked(attempt) for attempt in call.attempts]
    passed = [Tried(model=one.model, why=one.why[:_LONGEST]) for one in call.plan.passed]
    return tuple([*asked, *call.left_alone, *passed][:_MOST])


def _asked(attempt: Attempt) -> Tried:
    candidate, error = attempt.candidate, attempt.error or attempt.failed
    return Tried(
        model=f"{candidate.provider.name}/{candidate.model}",
        why=attempt.why,
        attempt_id=attempt.id,
        format=attempt.way.target.name if attempt.way is not None else "",
        credential="" if attempt.credential is None else attempt.credential.name,
        began_us=attempt.began_us,
        ended_us=attempt.ended_us,
        sent=attempt.sent,
        status=_status(attempt, error),
        error="" if error is None else error.error_code,
        said="" if error is None else _said(error)[:_LONGEST],
    )


def _said(error: KomeetError) -> str:
    """Return what went wrong, with what only the operator is told."""
    return error.message if error.detail is None else f"{error.message} ({error.detail})"


def _status(attempt: Attempt, error: KomeetError | None) -> int:
    if attempt.answer is not None:
        return attempt.answer.status
    return error.upstream_status if isinstance(error, UpstreamRefused) else 0
