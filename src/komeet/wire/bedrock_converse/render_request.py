"""From the neutral model to a request to Converse; whether it streams, and the model, are in the path."""

import re
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.tool import ToolChoice, ToolMode
from komeet.catalog.profile import Profile, Structured
from komeet.core.errors import WireError
from komeet.wire.bedrock_converse.members import Json, foreign
from komeet.wire.bedrock_converse.render_turns import render_turns
from komeet.wire.bedrock_converse.rendering import Rendering
from komeet.wire.bedrock_converse.sampling_out import render_sampling
from komeet.wire.bedrock_converse.thinking_out import render_thinking
from komeet.wire.bedrock_converse.tools_out import render_choice, render_tools
from komeet.wire.format import Edited
from komeet.wire.schema import fit_schema, input_schema
from komeet.wire.structured import JSON_TOOL

_NO_WORD: Final = "Bedrock's Converse has no such parameter"
_TIERS: Final = {
    "standard": "default",
    "default": "default",
    "priority": "priority",
    "flex": "flex",
    "reserved": "reserved",
}
_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_MOST_METADATA: Final = 16


def render_request(request: Request, profile: Profile) -> Edited:
    """Return the body that says `request` to Bedrock, and what it could not say.

    Args:
        request: the call.
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
    tools = render_tools(rendering)  # first: cache marks are counted in the order of the prefix
    system, messages = render_turns(rendering)
    if messages:
        messages[-1][1].extend(rendering.marks.point(request.cache, "messages", ""))
    thinking = render_thinking(rendering)
    inference, further = render_sampling(rendering, thinks=thinking.thinks)
    choice = render_choice(rendering)
    schema, choice = _output(rendering, tools, choice)
    output: Json = {**schema, **({"effort": thinking.effort} if thinking.effort else {})}
    marks = rendering.marks
    marks.lose_surplus()
    fields: Json = {
        "messages": [{"role": role, "content": marks.kept(said)} for role, said in messages],
        "system": marks.kept(system),
        "inferenceConfig": inference,
        "toolConfig": {"tools": marks.kept(tools), **({"toolChoice": choice} if choice else {})} if tools else None,
        "outputConfig": output,
        "additionalModelRequestFields": {**further, **thinking.fields},
        "serviceTier": _tier(rendering),
        "requestMetadata": _metadata(rendering),
    }
    _lose_knobs(rendering)
    told = {name: value for name, value in fields.items() if value}
    rendering.losses.extend(foreign(request.extras, ""))
    return Edited(body=msgspec.json.encode(told), losses=tuple(rendering.losses), key="sigv4")


def _output(rendering: Rendering, tools: list[object], choice: Json | None) -> tuple[Json, Json | None]:
    """Return what `outputConfig` says of the form, and the choice of tools; a tool that is the answer joins `tools`."""
    output = rendering.request.output
    match output:
        case None:
            return {}, choice
        case Opaque(origin=origin):
            rendering.lose("response_format", f"only the format {origin} knows it")
            return {}, choice
        case JsonOutput(schema=None):
            rendering.lose("response_format", "Bedrock holds an answer to JSON only with a schema")
            return {}, choice
        case JsonOutput(schema=schema):
            assert schema is not None
            rendering.losses.extend(foreign(output.extras, "response_format"))
            if rendering.profile.structured is Structured.TOOL:
                return {}, _answer_by_tool(rendering, tools, choice, output)
            fitting = fit_schema(schema, "response_format.schema", rendering.losses)
            told: Json = {"schema": fitting.decode("utf-8", "replace")}
            if output.name:
                told["name"] = output.name
            if output.description:
                told["description"] = output.description
            return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": told}}}, choice


def _answer_by_tool(rendering: Rendering, tools: list[object], choice: Json | None, output: JsonOutput) -> Json | None:
    """Add the tool whose arguments are the answer; return the choice of tools."""
    if not rendering.answers_by_tool:
        rendering.lose("response_format", f"the model answers by a tool, and one of the caller's is called {JSON_TOOL}")
        return choice
    spec = {
        "name": JSON_TOOL,
        "description": output.description or "Gives the answer.",
        "inputSchema": {"json": Raw(input_schema(output.schema))},
    }
    tools.append({"toolSpec": spec})
    wanted = rendering.request.tool_choice
    if isinstance(wanted, ToolChoice) and wanted.mode is ToolMode.NAMED:
        return choice
    free = rendering.request.tools and not (isinstance(wanted, ToolChoice) and wanted.mode is ToolMode.NONE)
    return {"any": {}} if free else {"tool": {"name": JSON_TOOL}}


def _tier(rendering: Rendering) -> Json | None:
    tier = rendering.request.service_tier
    if tier in (None, "auto"):
        return None
    known = _TIERS.get(tier)
    if known is None:
        rendering.lose("service_tier", f"Bedrock has no tier {tier!r}")
        return None
    return {"type": known}


def _metadata(rendering: Rendering) -> Json:
    """Return what Bedrock's log of calls is to know of this one."""
    told: Json = {}
    for name, value in rendering.request.metadata.items():
        if len(told) < _MOST_METADATA and _METADATA.fullmatch(name) and (not value or _METADATA.fullmatch(value)):
            told[name] = value
        else:
            rendering.lose(f"metadata.{name}", "Bedrock takes 16, of few kinds of characters")
    return told


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
        "user": request.user,
    }
    rendering.lose_set(set_, _NO_WORD)
