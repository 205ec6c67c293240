"""The pieces of which a turn or an answer is made, in the order in which they were written."""

from msgspec import Raw, Struct

from komeet.canonical.extras import Extras


class Inline(Struct, frozen=True):
    """Media that is in the call."""

    media_type: str
    """`image/png`; empty when the format does not say."""
    data: str
    """Base64."""


class Url(Struct, frozen=True):
    """Media that the provider fetches."""

    url: str


class FileId(Struct, frozen=True):
    """Media that the provider, or another turn, already holds."""

    id: str


Source = Inline | Url | FileId


class Seal(Struct, frozen=True, kw_only=True):
    """What a provider wants back unchanged with its own words: a signature, encrypted reasoning."""

    origin: str
    """The format, or the family of providers within it, that alone may see it again."""
    name: str
    """What it is called there: `signature`, `reasoning_details`."""
    value: Raw


class Piece(Struct, frozen=True, kw_only=True):
    """What every part may carry."""

    extras: Extras = {}


class Text(Piece, frozen=True, kw_only=True):
    """Plain text."""

    text: str = ""


class Image(Piece, frozen=True, kw_only=True):
    """A picture."""

    source: Source
    detail: str | None = None
    """How closely to look, in the words of the format."""


class Audio(Piece, frozen=True, kw_only=True):
    """Sound, spoken or heard; `transcript` where there is one."""

    source: Source
    transcript: str = ""
    id: str = ""
    """What the provider calls it, for a later turn."""
    expires_at: int | None = None
    """Unix seconds."""


class File(Piece, frozen=True, kw_only=True):
    """A document."""

    source: Source
    filename: str = ""


class Reasoning(Piece, frozen=True, kw_only=True):
    """The model's thinking, as far as it is shown."""

    text: str = ""
    seal: Seal | None = None
    field: str = ""
    """What its format calls it, where it has several names (`reasoning`, `reasoning_content`); empty: the usual one."""


class ToolCall(Piece, frozen=True, kw_only=True):
    """The model asks for a tool."""

    id: str = ""
    """Empty where the provider gives none."""
    name: str = ""
    arguments: bytes = b""
    """As the model wrote them: JSON for a function, which may be broken; free text for a custom tool."""
    custom: bool = False
    """Whether the arguments are free text."""


class ToolResult(Piece, frozen=True, kw_only=True):
    """What a tool answered."""

    call_id: str
    parts: "tuple[Part, ...]" = ()
    name: str = ""
    failed: bool = False


class Refusal(Piece, frozen=True, kw_only=True):
    """The model's words for why it will not answer."""

    text: str = ""


class Opaque(Struct, frozen=True, kw_only=True):
    """A piece that only its own format understands; never sent to another."""

    origin: str
    value: Raw


Part = Text | Image | Audio | File | Reasoning | ToolCall | ToolResult | Refusal | Opaque
