"""How much a Chat Completions request may make a provider read and do, told from its bytes."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.extent import Extent
from komeet.wire.format import Envelope

_HOSTED: Final = (
    "web_search_options",
    "plugins",  # OpenRouter
    "search_settings",  # Groq
    "search_parameters",  # xAI
    "enable_search",  # Alibaba
)
"""Members that ask for tools which the provider runs."""
_STORED: Final = ("preset", "prompt")
"""Members that name a prompt which the provider keeps."""
_TEXTS: Final = frozenset({"text", "refusal", "thinking", "reasoning", "input_text", "output_text"})
_CALLERS_TOOLS: Final = frozenset({"", "function", "custom"})

_NULL = Raw(b"null")


class _Url(Struct):
    url: str = ""


class _Part(Struct):
    type: str = ""
    image_url: _Url | str | None = None
    input_audio: Raw = _NULL
    file: Raw = _NULL


class _Message(Struct):
    content: Raw = _NULL
    audio: Raw = _NULL


class _Tool(Struct):
    type: str = ""


_messages = Decoder(list[_Message])
_parts = Decoder(list[_Part])
_tools = Decoder(list[_Tool])


def measure(envelope: Envelope) -> Extent:
    """Return upper limits; what cannot be told from the bytes, or is not understood, counts as external.

    The data of inline images does not count as bytes: as media, it has limits of its own. A file's text can be longer
    than its bytes (it may be compressed): it is external even when it is inline.
    """
    media = _Media()
    try:
        for message in _messages.decode(envelope.fields["messages"]):
            media.add(message)
    except (msgspec.ValidationError, RecursionError):
        media.external = True  # the provider may read it in a way that is not known here
    fields = envelope.fields
    return Extent(
        bytes=envelope.size - media.data_bytes,
        media=media.count,
        external=media.external or any(_is_set(fields, name) for name in _STORED),
        hosted_tools=any(_is_set(fields, name) for name in _HOSTED) or _has_hosted_tool(fields.get("tools")),
        candidates=envelope.candidates,
        output_limit=envelope.output_limit,
        service_tier=envelope.service_tier,
    )


class _Media:
    """What is not text, added up over the messages."""

    __slots__ = ("count", "data_bytes", "external")

    def __init__(self) -> None:
        self.count = 0
        self.data_bytes = 0
        self.external = False

    def add(self, message: _Message) -> None:
        if message.audio != _NULL:  # an earlier answer, by its id
            self.count += 1
            self.external = True
        if bytes(message.content).startswith(b"["):
            for part in _parts.decode(message.content):
                self.add_part(part)

    def add_part(self, part: _Part) -> None:
        match part:
            case _Part(type=kind, image_url=None) if kind in _TEXTS and part.file == part.input_audio == _NULL:
                return
            case _Part(type="image_url", image_url=_Url(url=url)) | _Part(type="image_url", image_url=str(url)):
                if url.startswith("data:"):
                    self.data_bytes += len(url) - url.find(",") - 1 if url.isascii() else 0
                else:
                    self.external = True
            case _Part(type="input_audio"):
                pass  # its bytes are many more than its tokens
            case _:
                self.external = True
        self.count += 1


def _is_set(fields: dict[str, Raw], name: str) -> bool:
    return fields.get(name, _NULL) not in (_NULL, Raw(b"false"))


def _has_hosted_tool(raw: Raw | None) -> bool:
    if raw is None or raw == _NULL:
        return False
    try:
        return any(tool.type not in _CALLERS_TOOLS for tool in _tools.decode(raw))
    except (msgspec.ValidationError, RecursionError):
        return True
