"""From the neutral model to a Cohere request."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.cohere_chat.members import foreign
from komeet.wire.cohere_chat.render_messages import render_messages
from komeet.wire.cohere_chat.render_tools import render_tools
from komeet.wire.effort import effort_of
from komeet.wire.format import Edited

Json = dict[str, object]

_MOST_STOPS: Final = 5
_MOST_P: Final = 0.99
_LEAST_P: Final = 0.01
_BUDGETS: Final = {"minimal": 1024, "low": 4096, "medium": 16_384}
"""Most tokens of thinking that an effort stands for; the others set no bound."""
_PLAIN_TIERS: Final = (None, "auto", "default", "standard")
_NO_WORD: Final = "Cohere has no such parameter"


def render_request(request: Request, profile: Profile) -> Edited:
    """Return the body that says `request` to Cohere, and what it could not say.

    Args:
        request: the call; its model is what the provider calls it.
        profile: what the model takes.

    Raises:
        Unrepresentable: 422; a content part that the format cannot carry; `param` is its path.
        WireError: 400; several answers to one call.
    """
    if (request.candidates or 1) > 1:
        raise WireError(
            f"{request.model} gives one answer to a call, not {request.candidates}; make as many calls.",
            param="n",
            code="unsupported_value",
        )
    losses: list[Loss] = []
    tools = render_tools(request, losses)
    fields: Json = {
        "model": request.model,
        "messages": render_messages(request.turns, losses),
        **tools,
        **_sampling(request, profile, losses),
        "max_tokens": request.output_limit,
        "stop_sequences": _stop(request, losses),
        "stream": request.stream,
        "thinking": _thinking(request, losses),
        "response_format": _output(request, losses, with_tools=tools["tools"] is not None),
    }
    _lose_knobs(request, losses)
    losses.extend(foreign(request.extras, ""))
    told: Json = {name: value for name, value in fields.items() if value is not None}
    return Edited(body=msgspec.json.encode(told), losses=tuple(losses))


def _sampling(request: Request, profile: Profile, losses: list[Loss]) -> Json:
    sampling = request.sampling
    told: Json = {
        "temperature": sampling.temperature,
        "p": sampling.top_p,
        "k": sampling.top_k,
        "seed": sampling.seed,
        "frequency_penalty": _penalty(sampling.frequency_penalty, "frequency_penalty", losses),
        "presence_penalty": _penalty(sampling.presence_penalty, "presence_penalty", losses),
        "logprobs": sampling.logprobs,
    }
    reason = profile.refuses_sampling(request.effort, request.model)
    if reason is not None:
        losses.extend(Loss(name, reason) for name in ("temperature", "p") if told.pop(name) not in (None, 1))
    elif sampling.top_p is not None:
        told["p"] = min(max(sampling.top_p, _LEAST_P), _MOST_P)  # 1 is refused, and means what 0.99 does
        if sampling.top_p < _LEAST_P:
            losses.append(Loss("top_p", f"Cohere takes no less than {_LEAST_P}: it is asked for that"))
    if sampling.top_logprobs:
        losses.append(Loss("top_logprobs", _NO_WORD))
    return told


def _penalty(value: float | None, name: str, losses: list[Loss]) -> float | None:
    if value is None or 0 <= value <= 1:
        return value
    fitting = 1.0 if value > 1 else 0.0
    losses.append(Loss(name, f"Cohere takes 0 to 1: it is asked for {fitting:g}"))
    return fitting


def _stop(request: Request, losses: list[Loss]) -> tuple[str, ...] | None:
    if len(request.stop) > _MOST_STOPS:
        losses.append(Loss("stop", f"no more than {_MOST_STOPS} sequences are taken; the first are kept"))
    return request.stop[:_MOST_STOPS] or None


def _thinking(request: Request, losses: list[Loss]) -> Json | None:
    thinking = request.thinking
    if thinking is not None:
        losses.extend(foreign(thinking.extras, "thinking"))
        if thinking.summary is not None:
            losses.append(Loss("thinking.summary", "Cohere does not say how reasoning is to be shown"))
        if thinking.mode == "budget" and thinking.budget:
            return {"type": "enabled", "token_budget": thinking.budget}
    effort = request.effort or effort_of(thinking)
    if effort is None:
        return None
    if effort == "none":
        return {"type": "disabled"}
    budget = _BUDGETS.get(effort)
    return {"type": "enabled"} if budget is None else {"type": "enabled", "token_budget": budget}


def _output(request: Request, losses: list[Loss], *, with_tools: bool) -> Json | None:
    match request.output:
        case None:
            return None
        case Opaque(origin=origin):
            losses.append(Loss("response_format", f"only the format {origin} has it"))
            return None
        case JsonOutput() if with_tools:
            losses.append(Loss("response_format", "Cohere does not hold an answer to JSON where there are tools"))
            return None
        case JsonOutput(schema=schema, extras=extras):
            losses.extend(foreign(extras, "response_format"))
            told: Json = {"type": "json_object"}
            return told if schema is None else {**told, "json_schema": Raw(schema)}


def _lose_knobs(request: Request, losses: list[Loss]) -> None:
    lost = {
        "verbosity": request.verbosity,
        "prompt_cache_key": request.prompt_cache_key,
        "metadata": request.metadata,
        "user": request.user,
        "service_tier": None if request.service_tier in _PLAIN_TIERS else request.service_tier,
        "cache_control": request.cache,
    }
    losses.extend(Loss(name, _NO_WORD) for name, value in lost.items() if value)
