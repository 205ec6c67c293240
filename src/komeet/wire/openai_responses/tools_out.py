"""From the neutral model's tools, and the choice among them, to this format's."""

from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.canonical.part import Opaque
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode
from komeet.core.errors import Unrepresentable
from komeet.wire.json import encode_object
from komeet.wire.members import OBJECT
from komeet.wire.openai_responses.members import ORIGIN, OWN, Members, foreign
from komeet.wire.openai_responses.tools_in import WEB_SEARCH

Json = dict[str, object]


def tool(each: Tool, path: str, losses: list[Loss]) -> object | None:
    """Return the tool; None: it has no like here, which is a loss.

    Raises:
        Unrepresentable: 422, a tool that only another format knows.
    """
    match each:
        case FunctionTool():
            return _function(each, path, losses)
        case CustomTool():
            losses.extend(foreign(each.extras, path))
            told: Json = {"type": "custom", "name": each.name, "description": each.description}
            return {**_said(told), **_grammar(each.grammar), **each.extras.get(ORIGIN, {})}
        case Namespace():
            losses.extend(foreign(each.extras, path))
            inside = [tool(one, f"{path}.tools[{i}]", losses) for i, one in enumerate(each.tools)]
            told = {"type": "namespace", "name": each.name, "description": each.description, "tools": inside}
            return {**_said(told), **each.extras.get(ORIGIN, {})}
        case HostedTool():
            return _hosted(each, path, losses)
        case Opaque(origin=origin, value=value):
            if origin != ORIGIN:
                raise Unrepresentable(
                    f"{path} is a tool that only the format {origin} knows; Responses has none like it.", param=path
                )
            return value


def tool_choice(choice: ToolChoice | Opaque | None, losses: list[Loss]) -> object | None:
    """Return the choice."""
    match choice:
        case None:
            return None
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return value
            losses.append(Loss("tool_choice", f"only the format {origin} has it"))
            return None
        case ToolChoice(mode=ToolMode.NAMED, name=name, custom=custom, namespace=namespace):
            group = {"namespace": namespace} if namespace else {}
            return {"type": "custom" if custom else "function", "name": name, **group}
        case ToolChoice(mode=mode, allowed=allowed) if allowed and mode is not ToolMode.NONE:
            tools = [{"type": "function", "name": name} for name in allowed]
            return {"type": "allowed_tools", "mode": mode.value, "tools": tools}
        case ToolChoice(mode=mode):
            return mode.value


def _function(each: FunctionTool, path: str, losses: list[Loss]) -> Json:
    losses.extend(foreign(each.extras, path))
    if each.cache is not None:
        losses.append(Loss(f"{path}.cache_control", "Responses has no place for it there"))
    told: Json = {
        "type": "function",
        "name": each.name,
        "description": each.description,
        "parameters": None if each.schema is None else Raw(each.schema),
        "strict": each.strict,
    }
    if OWN not in each.extras:
        # This format takes a schema to be strict unless it is told that it is not, and wants one in every case.
        told["strict"] = bool(each.strict)
        if each.schema is None:
            told["parameters"] = {"type": "object", "properties": {}}
    return {**_said(told), **each.extras.get(ORIGIN, {})}


def _grammar(raw: Raw | None) -> Json:
    """Return the format of a custom tool's text; Chat Completions has the grammar one level deeper."""
    if raw is None:
        return {}
    members = Members({"format": raw})
    outside = Members(members.fitting("format", OBJECT) or {})
    inside = outside.fitting("grammar", OBJECT)
    if inside is None:
        return {"format": raw}
    return {"format": {**outside.left().get(ORIGIN, {}), **inside}}


def _hosted(each: HostedTool, path: str, losses: list[Loss]) -> object | None:
    if each.origin == ORIGIN:
        return each.value
    if each.kind != WEB_SEARCH:
        losses.append(Loss(path, f"only providers of the format {each.origin} run {each.kind}"))
        return None
    told: Json = {"type": WEB_SEARCH}
    if each.allowed_domains:
        told["filters"] = {"allowed_domains": each.allowed_domains}
    if each.location is not None:
        found = Members({"location": each.location}).fitting("location", OBJECT) or {}
        told["user_location"] = Raw(encode_object({"type": Raw(b'"approximate"'), **found}))
    for name, value in (("blocked_domains", each.blocked_domains), ("max_uses", each.max_uses)):
        if value:
            losses.append(Loss(f"{path}.{name}", "Responses' web search does not take it"))
    if each.cache is not None:
        losses.append(Loss(f"{path}.cache_control", "Responses has no place for it there"))
    return told


def _said(told: Json) -> Json:
    return {name: value for name, value in told.items() if value is not None}
