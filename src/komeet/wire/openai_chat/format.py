"""Chat Completions as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.extent import Extent
from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire.format import NOWHERE, Asked, Edited, Envelope, Format, Passed, Passing, Where
from komeet.wire.generation import Generation
from komeet.wire.openai_chat.edit import edit
from komeet.wire.openai_chat.envelope import parse_envelope
from komeet.wire.openai_chat.errors import (
    names_stream_options,
    parse_error,
    render_error,
    render_refusal,
    render_stream_error,
)
from komeet.wire.openai_chat.extent import measure
from komeet.wire.openai_chat.parse_request import parse_request
from komeet.wire.openai_chat.parse_response import parse_response
from komeet.wire.openai_chat.prompt import prompt_text
from komeet.wire.openai_chat.render_request import render_request
from komeet.wire.openai_chat.render_response import render_response
from komeet.wire.openai_chat.render_stream import StreamRenderer
from komeet.wire.openai_chat.stream import StreamParser
from komeet.wire.openai_chat.tap import ChatTap
from komeet.wire.openai_chat.whole import ChatWhole, read_whole


class OpenAIChat(Generation):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = "openai_chat"
    fetches_files: bool = False

    @property
    def passing(self) -> Passing:
        return self

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/chat/completions"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],  # noqa: ARG002 - none matters
        where: Where = NOWHERE,  # noqa: ARG002 - it names nothing
    ) -> Envelope:
        return parse_envelope(body)

    def parse_request(self, envelope: Envelope) -> Request:
        return parse_request(envelope)

    def measure(self, envelope: Envelope) -> Extent:
        return measure(envelope)

    def prompt_text(self, envelope: Envelope) -> str:
        return prompt_text(envelope)

    def edit(
        self, envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool
    ) -> Edited:
        return edit(envelope, model=model, profile=profile, output_limit=output_limit, ask_usage=ask_usage)

    def render_request(self, request: Request, profile: Profile, *, ask_usage: bool) -> Edited:
        return render_request(request, profile, ask_usage=ask_usage)

    def tap(self, *, include_usage: bool) -> ChatTap:
        return ChatTap(include_usage=include_usage)

    def read_whole(self, body: bytes) -> ChatWhole | UpstreamError:
        return read_whole(body)

    def parse_response(self, body: bytes) -> Response:
        return parse_response(body)

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def render_response(self, response: Response, asked: Asked) -> bytes:
        return render_response(response, asked)

    def stream_renderer(self, asked: Asked) -> StreamRenderer:
        return StreamRenderer(asked)

    def names_stream_options(self, body: bytes) -> bool:
        return names_stream_options(body)

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return parse_error(status, headers, body, provider)

    def render_refusal(self, passed: Passed) -> bytes:
        return render_refusal(passed)

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        return render_error(error)

    def render_stream_error(self, error: KomeetError) -> bytes:
        return render_stream_error(error)


FORMAT: Final[Format] = OpenAIChat()
