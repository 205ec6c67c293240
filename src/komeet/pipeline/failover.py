"""From candidate to candidate until one has answered, or until nothing more may be tried."""

from msgspec.structs import replace

from komeet.canonical.record import Tried
from komeet.core.errors import (
    ContextTooLong,
    KomeetError,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
)
from komeet.pipeline.answer import elapsed_us
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.ports import Ports
from komeet.pipeline.settle import settle
from komeet.pipeline.stages import ATTEMPT
from komeet.providers.provider import Provider
from komeet.routing.health import Health
from komeet.routing.retry import Failure, Move, Step, next_step
from komeet.routing.route import Choice

_COOL: float = 1.0
"""Seconds for which somebody who limits us is left alone, where it does not say for how long."""
_LOCKED_OUT: float = 10.0
"""The same of somebody who refuses our credential."""


async def answer(call: Call, ports: Ports) -> None:
    """Have the call answered by the first of its candidates that does.

    Raises:
        KomeetError: what the caller is told: the first error of a provider, or else the first there was.
    """
    plan = call.known_plan
    errors: list[KomeetError] = []
    choice = plan.take()
    while choice is not None:
        candidate = choice.candidate
        health = ports.router.health(candidate)
        if not health.admits(ports.clock.monotonic()):
            left_alone = _left_alone(choice, call, health, ports)
            call.fault = call.fault or left_alone
            choice = plan.take()
            continue
        error = await _ask(call, _in_time(call, choice, ports), health, ports)
        if error is None:
            return
        errors.append(error)
        if call.fault is None and isinstance(error, UpstreamError):
            call.fault = error
        step = _after(call, error, ports)
        if step.move is Move.STOP:
            break
        if step.move is Move.OTHER:
            choice = plan.take()
        elif step.wait > 0:
            await ports.sleep(step.wait)
    raise call.fault or errors[0]


def _after(call: Call, error: KomeetError, ports: Ports) -> Step:
    attempt = call.attempts[-1]
    if isinstance(error, ContextTooLong):
        call.known_plan.need_window(attempt.candidate.context_window)
    failure = Failure(error=error, sent=attempt.sent, shown=call.reply.started and not call.unfinished)
    now = ports.clock.monotonic()
    return next_step(
        failure,
        ports.retries.policy,
        attempts=_tries(call),
        elapsed=now - call.request.arrived,
        others=call.known_plan.has_more(),
        repeat=lambda: ports.retries.of(attempt.candidate.provider.name).withdraw(now),
        jitter=ports.chance(),
    )


async def _ask(call: Call, choice: Choice[Provider], health: Health, ports: Ports) -> KomeetError | None:
    """Make one attempt, or two where the first learns how to ask; return why it did not answer, if so."""
    ports.retries.of(choice.candidate.provider.name).deposit()
    probe = health.began()
    try:
        error = await _attempt(call, choice, ports)
        while _asks_otherwise(call, error) or _shows_another(call, error, ports):
            error = await _attempt(call, choice, ports)
        _learn(call.attempts[-1], error, health, ports)
    finally:
        health.left(probe=probe)
    if error is None and call.reply.started and not call.reply.finished:
        call.reply.end()
    return error


def _asks_otherwise(call: Call, error: KomeetError | None) -> bool:
    """Whether the provider was asked in a way that it does not take, and will not be asked in again."""
    attempt = call.attempts[-1]
    refused = isinstance(error, UpstreamRefused) and call.usage_refused_by == attempt.candidate.provider.name
    return refused and attempt.asked_for_usage


def _shows_another(call: Call, error: KomeetError | None, ports: Ports) -> bool:
    """Note what a refusal says of the key that was shown; return whether the candidate is shown another at once."""
    attempt, now = call.attempts[-1], ports.clock.monotonic()
    candidate, credential = attempt.candidate, attempt.credential
    match error or attempt.failed:
        case UpstreamLimited(retry_after=seconds) if credential is not None:
            ports.credentials.set_aside(candidate, credential, now, _COOL if seconds is None else seconds)
            renewed = False
        case UpstreamAuth() if credential is not None:
            ports.credentials.set_aside(candidate, credential, now, _LOCKED_OUT)
            renewed = ports.credentials.renew(candidate, credential)
        case _:
            return False
    if error is None or call.reply.started or _tries(call) >= ports.retries.policy.attempts:
        return False
    return renewed or ports.credentials.has_another(candidate, call.shown_to(candidate), now)


def _tries(call: Call) -> int:
    return sum(one.sent or one.connecting for one in call.attempts)


async def _attempt(call: Call, choice: Choice[Provider], ports: Ports) -> KomeetError | None:
    attempt = Attempt(choice.candidate, call, choice.why)
    attempt.began_us = elapsed_us(call, ports)
    call.attempts.append(attempt)
    error: BaseException | None = None
    try:
        for stage in ATTEMPT:
            await stage(call, attempt, ports)
    except KomeetError as failed:
        error = attempt.error = failed
        return failed
    except BaseException as failed:
        error = failed
        raise
    finally:
        try:
            call.settled = settle(call, attempt, error, ports)
            attempt.ended_us = call.latency_us
        finally:
            if attempt.answer is not None:
                attempt.answer.close()
    return None


def _learn(attempt: Attempt, error: KomeetError | None, health: Health, ports: Ports) -> None:
    """Note what the attempt says about who was asked; a caller's own mistake says that it is well."""
    now = ports.clock.monotonic()
    match error or attempt.failed:
        case None:
            health.succeeded(now, attempt.answered_in)
        case UpstreamLimited() | UpstreamAuth() if len(attempt.candidate.provider.credentials) > 1:
            health.cool(now, ports.credentials.wait(attempt.candidate, now))
        case UpstreamLimited(retry_after=seconds):
            health.cool(now, _COOL if seconds is None else seconds)
        case UpstreamAuth():
            health.cool(now, _LOCKED_OUT)
        case UpstreamError() as failed:
            health.failed(now)
            if failed.retry_after is not None:
                health.cool(now, failed.retry_after)
        case _:
            if attempt.answer is not None:
                health.succeeded(now, attempt.answered_in)


def _left_alone(choice: Choice[Provider], call: Call, health: Health, ports: Ports) -> UpstreamBusy:
    candidate = choice.candidate
    seconds = max(0.1, health.open_until - ports.clock.monotonic())
    error = UpstreamBusy(
        f"{candidate.provider.name} has failed time and again for `{candidate.model}`, and is left alone for a moment.",
        upstream_status=503,
        retry_after=seconds,
    )
    name = f"{candidate.provider.name}/{candidate.model}"
    call.left_alone.append(Tried(model=name, why=choice.why, error=error.error_code, said=error.message))
    return error


def _in_time(call: Call, choice: Choice[Provider], ports: Ports) -> Choice[Provider]:
    """Return the choice with no more time than is left of what the first one had for all of its answer."""
    if not call.attempts:
        return choice
    candidate = choice.candidate
    provider = candidate.provider
    elapsed = ports.clock.monotonic() - call.request.arrived
    left = max(call.known_plan.first.provider.deadlines.total - elapsed, 0.001)
    if provider.deadlines.total <= left:
        return choice
    hurried = replace(provider, deadlines=replace(provider.deadlines, total=left))
    return replace(choice, candidate=replace(candidate, provider=hurried))
