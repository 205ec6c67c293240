"""What would become of a call, without calling anyone: by the same stages, up to what they would hold and send."""

from msgspec import Struct
from msgspec.structs import replace

from komeet.core.errors import KomeetError
from komeet.core.money import Nano
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.choosing import plan_of
from komeet.pipeline.identify import identify
from komeet.pipeline.plan import AnyCandidate
from komeet.pipeline.ports import Ports
from komeet.pipeline.stages import parse, translate, worst_case, written
from komeet.routing.route import Passed


class Refusal(Struct, frozen=True, kw_only=True):
    """An error that a caller would get."""

    status: int
    code: str
    message: str
    param: str | None = None


class Candidate(Struct, frozen=True, kw_only=True):
    """Somebody who would be asked, if those before fail."""

    provider: str
    model: str
    why: str
    format: str = ""
    """In which it would be asked."""
    passed_through: bool = False
    """Whether bytes go through as they came."""
    most_cost: Nano | None = None
    """Nano-dollars that are held; None: no bound is known."""
    most_charge: Nano | None = None
    """Nano-dollars that the customer may be charged."""
    output_limit_set: int | None = None
    """Tokens, where the caller sets no limit and a budget asks for one."""
    losses: tuple[str, ...] = ()
    """What of the call would be left out."""
    fetches: int = 0
    """Files that would have to be fetched for it."""
    open_breaker: bool = False
    """Whether it is left alone at the moment."""
    limited_by_budget: bool = False
    refused: Refusal | None = None
    """Why it would not be sent the call after all; the next one is asked."""


class LeftOut(Struct, frozen=True, kw_only=True):
    """Somebody who would not be asked."""

    model: str
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """What would become of a call."""

    model: str
    """As it was asked for."""
    route: bool
    """Whether that is a route's name, or an alias."""
    alias_of: str | None = None
    """What an alias leads to: a route, or a model."""
    candidates: tuple[Candidate, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    refused: Refusal | None = None
    """What the caller would get, where nobody would be asked: nobody may be, or a rate limit has no room."""


async def explain(call: Call, ports: Ports) -> Explanation:
    """Say who would be asked for a call, in which order and why, and what each would cost at most.

    Raises:
        KomeetError: the key is not known, or the call cannot be read.
    """
    call.key = await identify(call.request.headers, ports.keys, ports.clock)
    await parse(call, ports)
    asked = call.known_envelope.model
    route, alias_of = ports.router.is_given(asked), ports.router.aliases.get(asked)
    try:
        plan = call.plan = plan_of(call, ports)
    except KomeetError as error:
        return Explanation(model=asked, route=route, alias_of=alias_of, refused=_refusal(error))
    found: list[Candidate] = []
    while (choice := plan.take()) is not None:
        found.append(await _explained(call, choice.candidate, choice.why, ports))
    refusals = [one.refused for one in found]
    limited = ports.limits.refusal(call)
    return Explanation(
        model=asked,
        route=route,
        alias_of=alias_of,
        candidates=tuple(found),
        left_out=tuple(_left_out(one) for one in plan.passed),
        refused=_refusal(limited) if limited is not None else refusals[0] if all(refusals) else None,
    )


async def _explained(call: Call, candidate: AnyCandidate, why: str, ports: Ports) -> Candidate:
    attempt = Attempt(candidate, call)
    known = Candidate(
        provider=candidate.provider.name,
        model=candidate.model,
        why=why,
        open_breaker=not ports.router.health(candidate).admits(ports.clock.monotonic()),
    )
    try:
        await translate(call, attempt, ports)
        way = attempt.known_way
        most, extent = worst_case(call, attempt, ports)
        fetches = 0 if way.identity or ports.media is None else len(way.urls())
        losses = () if fetches else written(call, attempt).losses
    except KomeetError as error:
        return replace(known, refused=_refusal(error))
    return replace(
        known,
        format=way.target.name,
        passed_through=way.identity,
        most_cost=None if candidate.price is None else most.cost,
        most_charge=None if attempt.terms is None else most.charge,
        output_limit_set=attempt.inserted_limit,
        losses=tuple(loss.path for loss in losses),
        fetches=fetches,
        limited_by_budget=extent is not None,
    )


def _left_out(passed: Passed) -> LeftOut:
    return LeftOut(model=passed.model, why=passed.why)


def _refusal(error: KomeetError) -> Refusal:
    return Refusal(status=error.http_status, code=error.error_code, message=error.message, param=error.param)
