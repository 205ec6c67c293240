"""From the tools of a Messages request, and the choice among them, to the neutral model."""

from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.tool import FunctionTool, HostedTool, Tool, ToolChoice, ToolMode
from komeet.wire.anthropic_messages.cache import take_mark
from komeet.wire.anthropic_messages.members import ORIGIN, Members, read, wrong_type
from komeet.wire.members import BOOL, INT, OBJECT, STRINGS

WEB_SEARCH: Final = "web_search"

_MODES: Final = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "none": ToolMode.NONE}


def parse_tool(raw: Raw, path: str) -> Tool:
    """Return one of the tools: the caller's own, or one whose schema or work is the provider's.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    found = read(raw, OBJECT, path, "a valid dictionary")
    if found is None:
        raise wrong_type(path, "a valid dictionary")
    members = Members(found, path)
    kind = Members(found, path).text("type")
    if kind is not None and kind != "custom":
        return HostedTool(
            origin=ORIGIN,
            kind=WEB_SEARCH if kind.startswith(f"{WEB_SEARCH}_") else kind,
            value=raw,
            allowed_domains=tuple(members.fitting("allowed_domains", STRINGS) or ()),
            blocked_domains=tuple(members.fitting("blocked_domains", STRINGS) or ()),
            max_uses=members.fitting("max_uses", INT),
            location=members.raw("user_location"),
            cache=take_mark(members),
        )
    schema = members.raw("input_schema")
    return FunctionTool(
        name=members.need("name"),
        description=members.text("description"),
        schema=None if schema is None else bytes(schema),
        strict=members.take("strict", BOOL, "a valid boolean"),
        cache=take_mark(members),
        extras=members.left(),
    )


def parse_tool_choice(raw: Raw | None) -> tuple[ToolChoice | Opaque | None, bool | None]:
    """Return the choice, and whether several tools may be asked for at once; Opaque where it is none of this format's.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    found = read(raw, OBJECT, "tool_choice", "a valid dictionary")
    if raw is None or found is None:
        return None, None
    members = Members(found, "tool_choice")
    kind = members.need("type")
    alone = members.take("disable_parallel_tool_use", BOOL, "a valid boolean")
    parallel = None if alone is None else not alone
    if kind == "tool":
        name = members.need("name")
        choice = None if members.left() else ToolChoice(mode=ToolMode.NAMED, name=name)
    else:
        choice = ToolChoice(mode=_MODES[kind]) if kind in _MODES and not members.left() else None
    return (choice, parallel) if choice is not None else (Opaque(origin=ORIGIN, value=raw), None)
