"""From the neutral model to a Chat Completions request."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request, Sampling
from komeet.canonical.tool import CustomTool, FunctionTool, Tool, ToolChoice, ToolMode
from komeet.catalog.profile import Profile
from komeet.core.errors import Unrepresentable
from komeet.wire.format import Edited
from komeet.wire.openai_chat.edit import refused_sampling
from komeet.wire.openai_chat.envelope import LIMITS, SAMPLING
from komeet.wire.openai_chat.members import ORIGIN, foreign, place
from komeet.wire.openai_chat.render_message import messages

Json = dict[str, object]

_encoder = msgspec.json.Encoder()


def render_request(request: Request, profile: Profile, *, ask_usage: bool | None = None) -> Edited:
    """Return the body that says `request` to a provider of this format, and what it could not say.

    Args:
        request: the call; its model is what the provider calls it.
        profile: what the model takes.
        ask_usage: whether the stream is asked to report usage; None: as the request says.

    Raises:
        Unrepresentable: 422; a content part that the format cannot carry; `param` is its path.
    """
    losses: list[Loss] = []
    extras = request.extras.get(ORIGIN, {})
    fields: Json = {
        "model": request.model,
        "messages": messages(request.turns, losses),
        "tools": [_tool(tool, f"tools[{i}]", losses) for i, tool in enumerate(request.tools)] or None,
        "tool_choice": _tool_choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls,
        **_sampled(request, profile, losses),
        "seed": request.sampling.seed,
        profile.limit_field or LIMITS[-1]: request.output_limit,
        "stop": request.stop or None,
        "n": request.candidates,
        "stream": request.stream,
        "stream_options": _stream_options(request, ask_usage),
        "reasoning_effort": request.effort,
        "verbosity": request.verbosity,
        "response_format": _output(request.output, losses),
        "service_tier": request.service_tier,
        "metadata": request.metadata or None,
    }
    told: Json = {name: value for name, value in fields.items() if value is not None}
    told.update({name: value for name, value in extras.items() if name not in told})
    losses.extend(foreign(request.extras, ""))
    return Edited(_encoder.encode(told), tuple(losses))


def _sampled(request: Request, profile: Profile, losses: list[Loss]) -> Json:
    told: Json = {name: getattr(request.sampling, name) for name in SAMPLING if name in Sampling.__struct_fields__}
    reason = refused_sampling(profile, request.effort, request.model)
    if reason is None:
        return told
    losses.extend(Loss(name, reason) for name, value in told.items() if value not in (None, SAMPLING[name]))
    return {}


def _stream_options(request: Request, ask_usage: bool | None) -> Mapping[str, object] | None:
    options: Json = dict(request.extras.get(place("stream_options"), {}))
    asked = request.include_usage if ask_usage is None else ask_usage and bool(request.stream)
    if asked is not None and (asked or ask_usage is None):
        options["include_usage"] = asked
    return options or None


def _tool(tool: Tool, path: str, losses: list[Loss]) -> object:
    match tool:
        case FunctionTool():
            inside: Json = {
                "name": tool.name,
                "description": tool.description,
                "parameters": None if tool.schema is None else Raw(tool.schema),
                "strict": tool.strict,
            }
            kind = "function"
        case CustomTool():
            inside = {"name": tool.name, "description": tool.description, "format": tool.grammar}
            kind = "custom"
        case Opaque(origin=origin, value=value):
            if origin != ORIGIN:
                raise Unrepresentable(
                    f"{path} is a tool that only the format {origin} knows; Chat Completions has none like it.",
                    param=path,
                )
            return value
    losses.extend(foreign(tool.extras, path))
    told = {name: value for name, value in inside.items() if value is not None}
    return {
        "type": kind,
        kind: {**told, **tool.extras.get(place(kind), {})},
        **tool.extras.get(ORIGIN, {}),
    }


def _tool_choice(choice: ToolChoice | Opaque | None) -> object:
    match choice:
        case None:
            return None
        case Opaque(value=value):
            return value
        case ToolChoice(mode=ToolMode.NAMED, name=name, custom=custom):
            kind = "custom" if custom else "function"
            return {"type": kind, kind: {"name": name}}
        case ToolChoice(mode=mode):
            return mode.value


def _output(output: JsonOutput | Opaque | None, losses: list[Loss]) -> object:
    match output:
        case None:
            return None
        case Opaque(value=value):
            return value
        case JsonOutput():
            losses.extend(foreign(output.extras, "response_format"))
            outside = output.extras.get(ORIGIN, {})
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
                "json_schema": {**told, **output.extras.get(place("json_schema"), {})},
                **outside,
            }
