"""The tools that a model may ask for, and how freely."""

from enum import StrEnum

from msgspec import Raw, Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque


class FunctionTool(Struct, frozen=True, kw_only=True):
    """A function of the caller's."""

    name: str
    description: str | None = None
    schema: bytes | None = None
    """JSON Schema of its arguments, as it was written."""
    strict: bool | None = None
    extras: Extras = {}


class CustomTool(Struct, frozen=True, kw_only=True):
    """A tool of the caller's that takes free text."""

    name: str
    description: str | None = None
    grammar: Raw | None = None
    """What the text must look like, in the words of its format."""
    extras: Extras = {}


Tool = FunctionTool | CustomTool | Opaque
"""Opaque: a tool that the provider runs itself."""


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
