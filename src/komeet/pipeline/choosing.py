"""Whom a call may be sent to: the router's order, less those that its key must not ask."""

from collections.abc import Callable

from komeet.core.errors import KomeetError, NotAllowed
from komeet.ledger.port import Subject
from komeet.pipeline.call import Call
from komeet.pipeline.plan import AnyCandidate, Plan
from komeet.pipeline.ports import Ports
from komeet.routing.placement import REQUIRE
from komeet.routing.route import Moment
from komeet.routing.traits import Traits, traits_of


def plan_of(call: Call, ports: Ports) -> Plan:
    """Return whom to ask for a call.

    Raises:
        ModelNotFound: nobody answers to the name that it asks for.
        NotAllowed: all who do are not for this key.
    """
    asked = call.known_envelope.model
    order = ports.router.order(
        asked,
        _once(lambda: _traits(call)),
        Moment(now=ports.clock.monotonic(), chance=ports.chance),
        answers=call.format.kind == "generation",
    )
    key = call.known_key
    required = ports.placements.required(key.name, key.tags, call.request.headers.get(REQUIRE))
    return Plan(asked, order, lambda candidate: _misplaced(candidate, required) or refusal(call, candidate, ports))


def _misplaced(candidate: AnyCandidate, required: frozenset[str]) -> KomeetError | None:
    """Return why a call that demands these tags of providers does not go there; what stays here may answer all."""
    provider = candidate.provider
    lacking = required.difference(provider.tags)
    if not lacking or provider.embedded:
        return None
    return NotAllowed(
        f"This call may only go to providers that are tagged {', '.join(sorted(required))}; {provider.name} lacks"
        f" {', '.join(sorted(lacking))}.",
        param="model",
    )


def refusal(call: Call, candidate: AnyCandidate, ports: Ports) -> KomeetError | None:
    """Return why the key of a call must not ask a candidate; None: it may."""
    key, asked = call.known_key, call.known_envelope.model
    if not key.allows(*candidate.names) and not (ports.router.is_given(asked) and key.allows(asked)):
        old = candidate.replaces
        told = f"`{asked}`" if old is None else f"`{candidate.model}`, which replaces `{old.model}`"
        return NotAllowed(
            f"This API key ({key.name}) may not use the model {told}; it may use: {', '.join(key.models)}.",
            param="model",
        )
    subject = Subject(key.id, key.user, key.project, key.organisation)
    bounded = ports.ledger.is_bounded(subject, candidate.provider.name, candidate.model)
    if call.known_envelope.alternatives and (key.models or bounded):
        return NotAllowed(
            f"This API key ({key.name}) has a budget or a list of models, and the request names further models"
            " among which the provider may choose.",
            param="models",
        )
    policy = ports.policy.unpriced_with_budget if bounded else ports.policy.unpriced
    if candidate.price is None and policy == "refuse":
        reason = "a budget limits this call" if bounded else "this gateway refuses such models"
        return NotAllowed(
            f"The price of `{asked}` at {candidate.provider.name} is not known, and {reason}.", param="model"
        )
    return None


def _traits(call: Call) -> Traits:
    key, envelope = call.known_key, call.known_envelope
    if call.format.kind != "generation":
        return Traits(key=key.name, tags=key.tags, input_tokens=envelope.size // 4)
    size = call.format.measure(envelope).bytes
    return traits_of(call.format.parse_request(envelope), size=size, key=key.name, tags=key.tags)


def _once(make: Callable[[], Traits]) -> Callable[[], Traits]:
    """Return what makes the traits when they are first asked for."""
    made: list[Traits] = []

    def get() -> Traits:
        if not made:
            made.append(make())
        return made[0]

    return get
