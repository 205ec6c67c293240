"""How much a request may make a provider read and do, told from the neutral model of it."""

from collections.abc import Iterable, Iterator
from typing import Final

from komeet.canonical.extent import Extent
from komeet.canonical.part import Audio, File, Image, Inline, Opaque, Part, Source, ToolResult
from komeet.canonical.request import Request
from komeet.canonical.tool import HostedTool
from komeet.wire.format import Envelope

_STORED: Final = frozenset({"prompt", "container", "cachedContent", "cached_content"})
"""Members that refer to content which the provider keeps."""
_HOSTED: Final = frozenset({"mcp_servers", "container"})
"""Members that make the provider run something."""


def measure_request(request: Request, envelope: Envelope) -> Extent:
    """Return upper limits; what cannot be told from the bytes, or is not understood, counts as external.

    The data of inline images does not count as bytes: as media, it has limits of its own. A file's text can be longer
    than its bytes (it may be compressed): it is external even when it is inline.
    """
    media = [part for part in _parts(request) if isinstance(part, Image | Audio | File | Opaque)]
    unknown = {name for members in request.extras.values() for name in members}
    return Extent(
        bytes=envelope.size - sum(_inline_bytes(part) for part in media),
        media=len(media),
        external=any(_is_external(part) for part in media) or not unknown.isdisjoint(_STORED),
        hosted_tools=any(isinstance(tool, HostedTool | Opaque) for tool in request.tools)
        or not unknown.isdisjoint(_HOSTED),
        candidates=envelope.candidates,
        output_limit=envelope.output_limit,
        service_tier=envelope.service_tier,
    )


def _parts(request: Request) -> Iterator[Part]:
    for turn in request.turns:
        yield from _with_results(turn.parts)


def _with_results(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from _with_results(part.parts)


def _inline_bytes(part: Part) -> int:
    match part:
        case Image(source=Inline(data=data)) if data.isascii():
            return len(data)
        case _:
            return 0


def _is_external(part: Part) -> bool:
    match part:
        case Image(source=source) | Audio(source=source):
            return not _is_inline(source)
        case _:
            return True


def _is_inline(source: Source) -> bool:
    return isinstance(source, Inline)
