"""The tools that a model may ask for, and how freely."""

from enum import StrEnum

from msgspec import Raw, Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import CacheMark, Opaque


class FunctionTool(Struct, frozen=True, kw_only=True):
    """A function of the caller's."""

    name: str
    description: str | None = None
    schema: bytes | None = None
    """JSON Schema of its arguments, as it was written."""
    strict: bool | None = None
    extras: Extras = {}
    cache: CacheMark | None = None


class CustomTool(Struct, frozen=True, kw_only=True):
    """A tool of the caller's that takes free text."""

    name: str
    description: str | None = None
    grammar: Raw | None = None
    """What the text must look like, in the words of its format."""
    extras: Extras = {}


class Namespace(Struct, frozen=True, kw_only=True):
    """A group of the caller's tools, whose names need be unique within it only."""

    name: str
    description: str | None = None
    tools: tuple[FunctionTool | CustomTool, ...] = ()
    extras: Extras = {}


class HostedTool(Struct, frozen=True, kw_only=True):
    """A tool that the provider runs itself."""

    origin: str
    """The format in whose words `value` is."""
    kind: str
    """`web_search`, or its format's own name where no other format has one like it."""
    value: Raw
    """As it was written."""
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    max_uses: int | None = None
    location: Raw | None = None
    """The user's approximate location, an object whose members (`city`, `country` …) the formats share."""
    cache: CacheMark | None = None


Tool = FunctionTool | CustomTool | Namespace | HostedTool | Opaque
"""Opaque: of a kind that is not known here."""


class ToolMode(StrEnum):
    """Whether a tool must, may or must not be asked for."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"
    """The one that is named."""


class ToolChoice(Struct, frozen=True, kw_only=True):
    """What the caller wants asked for."""

    mode: ToolMode
    name: str = ""
    """With `named` only."""
    custom: bool = False
    """Whether the name is that of a custom tool."""
    namespace: str = ""
    """The group that the name is in."""
    allowed: tuple[str, ...] = ()
    """With `auto` and `required`: the names of the functions that may be asked for; empty: all."""


def flat_name(namespace: str, name: str) -> str:
    """Return the name of a tool for a format that has no groups of tools."""
    return f"{namespace}__{name}" if namespace else name
