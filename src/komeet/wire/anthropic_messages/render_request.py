"""From the neutral model to a Messages request."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.tool import ToolChoice, ToolMode
from komeet.catalog.profile import Profile, Structured
from komeet.core.errors import WireError
from komeet.wire.anthropic_messages.edit import HEADERS
from komeet.wire.anthropic_messages.envelope import SAMPLING
from komeet.wire.anthropic_messages.members import ORIGIN, foreign, own
from komeet.wire.anthropic_messages.render_turns import render_turns
from komeet.wire.anthropic_messages.rendering import Rendering
from komeet.wire.anthropic_messages.thinking_out import render_thinking
from komeet.wire.anthropic_messages.tools_out import render_choice, render_tools
from komeet.wire.format import Edited
from komeet.wire.schema import fit_schema, input_schema
from komeet.wire.structured import JSON_TOOL

Json = dict[str, object]

_NO_WORD: Final = "Messages has no such parameter"
_PLAIN_TIERS: Final = (None, "auto", "default", "standard")
_LEAST_TOP_P: Final = 0.95
"""With reasoning, below it is refused."""


def render_request(request: Request, profile: Profile) -> Edited:
    """Return the body that says `request` to a provider of this format, and what it could not say.

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
    rendering = Rendering(request, profile)
    limit = _limit(request, profile)
    tools = render_tools(rendering)  # first: cache marks are counted in the order of the prefix
    system, messages = render_turns(rendering)
    choice = render_choice(rendering, tools)
    thinking, effort = render_thinking(rendering, limit)
    schema, choice = _output(rendering, tools, choice)
    thinks = thinking is not None and thinking.get("type") != "disabled"
    fields: Json = {
        "model": request.model,
        "max_tokens": limit,
        "system": system,
        "messages": messages,
        "tools": tools or None,
        "tool_choice": None if choice is None else choice.get("value", choice),
        **_sampling(rendering, thinks=thinks),
        "stop_sequences": _stop(rendering) or None,
        "stream": request.stream,
        "thinking": thinking,
        "output_config": _config(request, effort, schema),
        "metadata": _metadata(request),
        "service_tier": _tier(rendering),
        **rendering.marks.render(request.cache, ""),
    }
    _lose_knobs(rendering)
    told: Json = {name: value for name, value in fields.items() if value is not None}
    told.update({name: value for name, value in own(request.extras).items() if name not in told})
    rendering.losses.extend(foreign(request.extras, ""))
    return Edited(body=msgspec.json.encode(told), losses=tuple(rendering.losses), headers=HEADERS, key="x-api-key")


def _limit(request: Request, profile: Profile) -> int:
    if request.output_limit is not None:
        return request.output_limit
    return min(profile.default_output, profile.output_limit or profile.default_output)


def _sampling(rendering: Rendering, *, thinks: bool) -> Json:
    request = rendering.request
    sampling = request.sampling
    told: Json = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    reason = rendering.profile.refuses_sampling(request.effort, request.model)
    if reason is not None:
        for name, value in told.items():
            if value is not None and value != SAMPLING[name]:
                rendering.lose(name, reason)
        return {}
    if thinks:
        allowed = {
            "temperature": sampling.temperature == 1,
            "top_p": sampling.top_p is not None and sampling.top_p >= _LEAST_TOP_P,
        }
        for name in ("temperature", "top_p", "top_k"):
            if told[name] is not None and not allowed.get(name, False):
                rendering.lose(name, "the model does not take it while it reasons")
                told[name] = None
    if sampling.temperature is not None and sampling.temperature > 1:
        rendering.lose("temperature", "Messages takes no more than 1: it is asked for 1")
        told["temperature"] = 1
    for name, other in (("top_p", "temperature"), ("temperature", "top_p")):
        if told[name] == 1 and told[other] is not None:  # it changes nothing, and there are models that refuse both
            told[name] = None
    return told


def _stop(rendering: Rendering) -> list[str]:
    for index, text in enumerate(rendering.request.stop):
        if not text.strip():
            rendering.lose(f"stop[{index}]", "Messages takes no stop sequence of white space only")
    return [text for text in rendering.request.stop if text.strip()]


def _output(rendering: Rendering, tools: list[object], choice: Json | None) -> tuple[Json | None, Json | None]:
    """Return the `format` of `output_config` and the choice of tools; a tool that is the answer joins `tools`."""
    output = rendering.request.output
    match output:
        case None:
            return None, choice
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return {"value": value}, choice
            rendering.lose("response_format", f"only the format {origin} knows it")
            return None, choice
        case JsonOutput(schema=None):
            rendering.lose("response_format", "Messages holds an answer to JSON only with a schema")
            return None, choice
        case JsonOutput(schema=schema):
            assert schema is not None
            rendering.losses.extend(foreign(output.extras, "response_format"))
            if rendering.profile.structured is Structured.FORMAT:
                fitting = fit_schema(schema, "response_format.schema", rendering.losses)
                return {"type": "json_schema", "schema": Raw(fitting), **own(output.extras)}, choice
            return None, _answer_by_tool(rendering, tools, choice, output)


def _answer_by_tool(rendering: Rendering, tools: list[object], choice: Json | None, output: JsonOutput) -> Json | None:
    """Add the tool whose arguments are the answer; return the choice of tools."""
    if not rendering.answers_by_tool:
        rendering.lose("response_format", f"the model answers by a tool, and one of the caller's is called {JSON_TOOL}")
        return choice
    tools.append(
        {
            "name": JSON_TOOL,
            "description": output.description or "Gives the answer.",
            "input_schema": Raw(input_schema(output.schema)),
        }
    )
    wanted = rendering.request.tool_choice
    if isinstance(wanted, ToolChoice) and wanted.mode is ToolMode.NAMED:
        return choice
    alone = {"disable_parallel_tool_use": True} if rendering.request.parallel_tool_calls is False else {}
    free = rendering.request.tools and not (isinstance(wanted, ToolChoice) and wanted.mode is ToolMode.NONE)
    return {"type": "any", **alone} if free else {"type": "tool", "name": JSON_TOOL}


def _config(request: Request, effort: str | None, schema: Json | None) -> Json | None:
    told: Json = {}
    if effort is not None:
        told["effort"] = effort
    if schema is not None:
        told["format"] = schema.get("value", schema)
    return {**told, **own(request.extras, "output_config")} or None


def _metadata(request: Request) -> Json | None:
    told: Json = {} if request.user is None else {"user_id": request.user}
    return {**told, **own(request.extras, "metadata")} or None


def _tier(rendering: Rendering) -> str | None:
    tier = rendering.request.service_tier
    if tier not in _PLAIN_TIERS:
        rendering.lose("service_tier", f"Messages has no tier {tier!r}")
    return "auto" if tier == "auto" else None


def _lose_knobs(rendering: Rendering) -> None:
    request, sampling = rendering.request, rendering.request.sampling
    set_ = {
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed is not None,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "verbosity": request.verbosity,
        "prompt_cache_key": request.prompt_cache_key,
        "metadata": request.metadata,
    }
    rendering.lose_set(set_, _NO_WORD)
