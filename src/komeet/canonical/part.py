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


class CacheMark(Struct, frozen=True, kw_only=True):
    """The prompt up to and including this piece is to be cached, for as long as `ttl` says."""

    ttl: str | None = None
    """`5m`, `30m`, `1h`, `12h`; None: the provider's default."""
    origin: str = ""
    """The format in whose words `value` is."""
    name: str = ""
    """What the mark is called there."""
    value: Raw = Raw(b"null")


class Piece(Struct, frozen=True, kw_only=True):
    """What every part may carry."""

    extras: Extras = {}
    cache: CacheMark | None = None


class Citation(Struct, frozen=True, kw_only=True):
    """Where a text has its statement from."""

    origin: str
    """The format in whose words `value` is."""
    value: Raw
    """As it was written."""
    url: str = ""
    title: str = ""
    quote: str = ""
    """The words of the source."""
    start: int | None = None
    """Where in the text the statement begins, in characters; None: the whole text is it."""
    end: int | None = None


class Text(Piece, frozen=True, kw_only=True):
    """Plain text."""

    text: str = ""
    citations: tuple[Citation, ...] = ()


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
    title: str = ""
    """What the model is told that it is called."""
    context: str = ""
    """What the model is told about it."""


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
    namespace: str = ""
    """The group of tools that `name` is in, where its format has such groups."""


class ToolResult(Piece, frozen=True, kw_only=True):
    """What a tool answered."""

    call_id: str
    parts: "tuple[Part, ...]" = ()
    name: str = ""
    failed: bool = False
    custom: bool = False
    """Whether it answers a custom tool."""


class Refusal(Piece, frozen=True, kw_only=True):
    """The model's words for why it will not answer."""

    text: str = ""


class ServerTool(Piece, frozen=True, kw_only=True):
    """A tool that the provider ran itself, or what it answered: only its own format takes it back."""

    origin: str
    kind: str
    """What its format calls it: `web_search_call`, `server_tool_use`."""
    id: str = ""
    name: str = ""
    value: Raw
    """The whole item, as it was written."""


class Opaque(Struct, frozen=True, kw_only=True):
    """A piece that only its own format understands; never sent to another."""

    origin: str
    value: Raw


Part = Text | Image | Audio | File | Reasoning | ToolCall | ToolResult | ServerTool | Refusal | Opaque
