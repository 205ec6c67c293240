"""From the neutral model to a Responses request."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Edited
from komeet.wire.openai_responses.content_out import Content, Json
from komeet.wire.openai_responses.envelope import SAMPLING
from komeet.wire.openai_responses.members import (
    ENCRYPTED,
    INCLUDE,
    LOGPROBS,
    ORIGIN,
    REASONING,
    TEXT,
    foreign,
    place,
)
from komeet.wire.openai_responses.reasoning import effort_of, reasons, summary_of
from komeet.wire.openai_responses.render_items import instructions, written
from komeet.wire.openai_responses.tools_out import tool, tool_choice

_LACKED: Final = ("presence_penalty", "frequency_penalty", "seed", "top_k")
LEAST_OUTPUT: Final = 16
"""Tokens: OpenAI refuses a lower limit here."""
_encoder = msgspec.json.Encoder()


def render_request(request: Request, profile: Profile) -> Edited:
    """Return the body that says `request` to a provider of this format, and what it could not say.

    Args:
        request: the call; its model is what the provider calls it.
        profile: what the model takes.

    Raises:
        Unrepresentable: 422; a content part that the format cannot carry; `param` is its path.
        WireError: 400; more than one answer.
    """
    _refuse(request, profile)
    losses: list[Loss] = []
    told_first = instructions(request.turns)
    content = Content(losses, marks=profile.cache_breakpoints)
    effort = effort_of(request, profile, losses)
    sampling, included = _sampled(request, profile, effort, losses)
    fields: Json = {
        "model": request.model,
        "instructions": told_first,
        "input": written(request.turns, content, losses, skip=0 if told_first is None else 1),
        "tools": _tools(request, losses),
        "tool_choice": tool_choice(request.tool_choice, losses),
        "parallel_tool_calls": request.parallel_tool_calls,
        **sampling,
        "max_output_tokens": _limit(request, losses),
        "reasoning": _reasoning(request, effort, losses),
        "text": _text(request, losses),
        "include": _include(request, included, reasoning=reasons(profile, effort)),
        "store": False,
        "stream": request.stream,
        "service_tier": request.service_tier,
        "user": request.user,
        "prompt_cache_key": request.prompt_cache_key,
        "metadata": request.metadata or None,
    }
    told: Json = {name: value for name, value in fields.items() if value is not None}
    told.update({name: value for name, value in request.extras.get(ORIGIN, {}).items() if name not in told})
    if not told["input"] and "prompt" in told:
        del told["input"]
    if request.stop:
        losses.append(Loss("stop", "Responses has no stop sequences"))
    if request.cache is not None:
        losses.append(Loss("cache_control", "Responses caches a whole prompt without being asked"))
    losses.extend(foreign(request.extras, ""))
    return Edited(body=_encoder.encode(told), losses=tuple(losses))


def _refuse(request: Request, profile: Profile) -> None:
    if (request.candidates or 1) > 1:
        raise WireError(
            f"{request.model} gives one answer to a call, not {request.candidates}.",
            param="n",
            code="unsupported_value",
        )
    said = request.extras.get(ORIGIN, {})
    for name in profile.refuses:
        if name in said or (name == "stop" and request.stop):
            raise WireError(f"{request.model} does not take `{name}`.", param=name, code="unsupported_parameter")


def _limit(request: Request, losses: list[Loss]) -> int | None:
    limit = request.output_limit
    if limit is None or limit >= LEAST_OUTPUT:
        return limit
    losses.append(Loss("max_tokens", f"Responses takes no less than {LEAST_OUTPUT}: it is asked for that"))
    return LEAST_OUTPUT


def _sampled(request: Request, profile: Profile, effort: str | None, losses: list[Loss]) -> tuple[Json, list[str]]:
    sampling = request.sampling
    for name in _LACKED:
        value: object = getattr(sampling, name)
        if value is not None and (value or name in ("seed", "top_k")):
            losses.append(Loss(name, "Responses does not take it"))
    told: Json = {name: getattr(sampling, name) for name in SAMPLING}
    included = [LOGPROBS] if sampling.logprobs else []
    reason = profile.refuses_sampling(effort, request.model)
    if reason is None:
        return told, included
    losses.extend(Loss(name, reason) for name, value in told.items() if value not in (None, SAMPLING[name]))
    if included:
        losses.append(Loss("logprobs", reason))
    return {}, []


def _tools(request: Request, losses: list[Loss]) -> list[object] | None:
    told = [tool(each, f"tools[{i}]", losses) for i, each in enumerate(request.tools)]
    return [each for each in told if each is not None] or None


def _include(request: Request, wanted: list[str], *, reasoning: bool) -> list[str] | None:
    asked = request.extras.get(INCLUDE, {})
    names = [*asked, *[name for name in wanted if name not in asked]]
    if reasoning and ENCRYPTED not in names:
        names.append(ENCRYPTED)
    return names or None


def _reasoning(request: Request, effort: str | None, losses: list[Loss]) -> Json | None:
    thinking = request.thinking
    extras: Extras = {} if thinking is None else thinking.extras
    losses.extend(foreign(extras, "thinking"))
    told: Json = {"effort": effort, "summary": summary_of(thinking), **extras.get(REASONING, {})}
    return {name: value for name, value in told.items() if value is not None} or None


def _text(request: Request, losses: list[Loss]) -> Json | None:
    told: Json = {
        "format": _format(request.output, losses),
        "verbosity": request.verbosity,
        **request.extras.get(TEXT, {}),
    }
    return {name: value for name, value in told.items() if value is not None} or None


def _format(output: JsonOutput | Opaque | None, losses: list[Loss]) -> object:
    match output:
        case None:
            return None
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return value
            losses.append(Loss("response_format", f"only the format {origin} has it"))
            return None
        case JsonOutput(extras=extras):
            losses.extend(foreign(extras, "response_format"))
            own = extras.get(place("format"), {})
            if output.schema is None and not output.name:
                return {"type": "json_object", **own}
            told: Json = {
                "type": "json_schema",
                "name": output.name or "answer",
                "description": output.description,
                "schema": None if output.schema is None else Raw(output.schema),
                "strict": output.strict,
            }
            return {**{name: value for name, value in told.items() if value is not None}, **own}
