"""Chat Completions as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.extent import Extent
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire.format import Edited, Envelope, Format, Passed
from komeet.wire.openai_chat.edit import edit
from komeet.wire.openai_chat.envelope import parse_envelope
from komeet.wire.openai_chat.errors import names_stream_options, parse_error, render_error, render_stream_error
from komeet.wire.openai_chat.extent import measure
from komeet.wire.openai_chat.prompt import prompt_text
from komeet.wire.openai_chat.recast import as_stream, as_whole
from komeet.wire.openai_chat.tap import ChatTap
from komeet.wire.openai_chat.whole import ChatWhole, read_whole


class OpenAIChat:
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = "openai_chat"
    path: str = "/chat/completions"

    def parse_envelope(self, body: bytes) -> Envelope:
        return parse_envelope(body)

    def measure(self, envelope: Envelope) -> Extent:
        return measure(envelope)

    def prompt_text(self, envelope: Envelope) -> str:
        return prompt_text(envelope)

    def edit(
        self, envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool
    ) -> Edited:
        return edit(envelope, model=model, profile=profile, output_limit=output_limit, ask_usage=ask_usage)

    def tap(self, *, include_usage: bool) -> ChatTap:
        return ChatTap(include_usage=include_usage)

    def read_whole(self, body: bytes) -> ChatWhole | UpstreamError:
        return read_whole(body)

    def as_stream(self, body: bytes, *, include_usage: bool) -> bytes:
        return as_stream(body, include_usage=include_usage)

    def as_whole(self, stream: bytes) -> bytes:
        return as_whole(stream)

    def names_stream_options(self, body: bytes) -> bool:
        return names_stream_options(body)

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return parse_error(status, headers, body, provider)

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        return render_error(error)

    def render_stream_error(self, error: KomeetError) -> bytes:
        return render_stream_error(error)


FORMAT: Final[Format] = OpenAIChat()
