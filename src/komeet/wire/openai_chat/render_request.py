"""From the neutral model to a Chat Completions request."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request, Sampling
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Edited
from komeet.wire.members import NULL
from komeet.wire.openai_chat.cache import lose_mark, own_mark
from komeet.wire.openai_chat.effort import resolve_effort
from komeet.wire.openai_chat.envelope import LIMITS, SAMPLING
from komeet.wire.openai_chat.in_dialect import in_dialect
from komeet.wire.openai_chat.members import ORIGIN, came_as, foreign, own, place
from komeet.wire.openai_chat.render_content import Json, Target
from komeet.wire.openai_chat.render_message import messages
from komeet.wire.openai_chat.render_tools import render_tools

_MOST_STOPS: Final = 4
_TIERS: Final = {"standard_only": "default"}
"""Service tiers of other formats that have another name here."""

_encoder = msgspec.json.Encoder()


def render_request(request: Request, profile: Profile, *, ask_usage: bool | None = None) -> Edited:
    """Return the body that says `request` to a provider of this format, and what it could not say.

    Args:
        request: the call; its model is what the provider calls it.
        profile: what the model takes.
        ask_usage: whether the stream is asked to report usage; None: as the request says.

    Raises:
        Unrepresentable: 422; a content part that the format cannot carry; `param` is its path.
        WireError: 400; something that the model cannot do and that must not be left out.
    """
    target = Target(profile)
    effort = resolve_effort(request, target)
    tier = request.service_tier
    fields: Json = {
        "model": request.model,
        "messages": messages(request.turns, target),
        **render_tools(request.tools, request.tool_choice, target),
        "parallel_tool_calls": request.parallel_tool_calls,
        **_sampled(request, effort, target),
        "seed": request.sampling.seed,
        "top_k": _top_k(request, target),
        profile.limit_field or LIMITS[-1]: request.output_limit,
        "stop": _stop(request, target),
        "n": request.candidates,
        "stream": request.stream,
        "stream_options": _stream_options(request, ask_usage),
        "reasoning_effort": effort,
        "verbosity": request.verbosity,
        "response_format": _output(request.output, target),
        "service_tier": None if tier is None else _TIERS.get(tier, tier),
        "user": request.user,
        "prompt_cache_key": request.prompt_cache_key,
        **own_mark(request.cache),
        "metadata": request.metadata or None,
    }
    told: Json = {name: value for name, value in fields.items() if value is not None}
    dropped = SAMPLING if profile.refuses_sampling(effort, request.model) else ()
    extras = request.extras.get(ORIGIN, {})
    told.update({name: value for name, value in extras.items() if name not in told and name not in (*dropped, "top_k")})
    lose_mark(request.cache, "", target.losses)
    target.losses.extend(foreign(request.extras, ""))
    _fit(told, request, target)
    told = in_dialect(told, profile.dialect, target.losses)
    return Edited(body=_encoder.encode(told), losses=tuple(target.losses))


def _fit(told: Json, request: Request, target: Target) -> None:
    """Leave out what the model does not take; refuse what must not be left out."""
    profile = target.profile
    for name in profile.refuses:
        if told.get(name, NULL) != NULL:
            raise WireError(f"{request.model} does not take `{name}`.", param=name, code="unsupported_parameter")
    most, asked = profile.candidates, request.candidates or 1
    if most is not None and asked > most:
        raise WireError(
            f"{request.model} gives {most} answer to a call, not {asked}.", param="n", code="unsupported_value"
        )
    if profile.accepts:
        for name in [name for name in told if name not in profile.accepts]:
            if told.pop(name) != NULL:
                target.lose(name, "the model does not take it")


def _sampled(request: Request, effort: str | None, target: Target) -> Json:
    told: Json = {name: getattr(request.sampling, name) for name in SAMPLING if name in Sampling.__struct_fields__}
    reason = target.profile.refuses_sampling(effort, request.model)
    if reason is None:
        return told
    extras = own(request.extras)
    asked = {**told, **{name: msgspec.json.decode(extras[name]) for name in SAMPLING if name in extras}}
    for name, value in asked.items():
        if value not in (None, SAMPLING[name]):
            target.lose(name, reason)
    return {}


def _top_k(request: Request, target: Target) -> int | None:
    top_k = request.sampling.top_k
    if top_k is None or came_as(request.extras, "top_k"):
        return top_k
    target.lose("top_k", "Chat Completions does not have it")
    return None


def _stop(request: Request, target: Target) -> tuple[str, ...] | None:
    if len(request.stop) > _MOST_STOPS:
        target.lose("stop", f"no more than {_MOST_STOPS} sequences are taken; the first are kept")
    return request.stop[:_MOST_STOPS] or None


def _stream_options(request: Request, ask_usage: bool | None) -> Mapping[str, object] | None:
    options: Json = dict(request.extras.get(place("stream_options"), {}))
    asked = request.include_usage if ask_usage is None else ask_usage and bool(request.stream)
    if asked is not None and (asked or ask_usage is None):
        options["include_usage"] = asked
    return options or None


def _output(output: JsonOutput | Opaque | None, target: Target) -> object:
    match output:
        case None:
            return None
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return value
            target.lose("response_format", f"only the format {origin} has it")
            return None
        case JsonOutput():
            target.losses.extend(foreign(output.extras, "response_format"))
            outside = own(output.extras)
            if output.schema is None and not output.name:
                return {"type": "json_object", **outside}
            inside: Json = {
                "name": output.name or "answer",
                "description": output.description,
                "schema": None if output.schema is None else Raw(output.schema),
                "strict": output.strict,
            }
            told = {name: value for name, value in inside.items() if value is not None}
            return {
                "type": "json_schema",
                "json_schema": {**told, **own(output.extras, "json_schema")},
                **outside,
            }
