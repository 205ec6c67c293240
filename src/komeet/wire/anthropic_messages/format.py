"""Messages as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire.anthropic_messages.edit import edit
from komeet.wire.anthropic_messages.envelope import parse_envelope
from komeet.wire.anthropic_messages.errors import parse_error, render_error, render_refusal, render_stream_error
from komeet.wire.anthropic_messages.members import ORIGIN
from komeet.wire.anthropic_messages.parse_request import parse_request
from komeet.wire.anthropic_messages.parse_response import parse_response
from komeet.wire.anthropic_messages.render_request import render_request
from komeet.wire.anthropic_messages.render_response import render_response
from komeet.wire.anthropic_messages.render_stream import StreamRenderer
from komeet.wire.anthropic_messages.stream import StreamParser
from komeet.wire.anthropic_messages.tap import MessagesTap
from komeet.wire.anthropic_messages.whole import MessagesWhole, read_whole
from komeet.wire.format import ID_HEADERS, NOWHERE, Asked, Edited, Envelope, Format, Passed, Passing, Where
from komeet.wire.generation import Understood


class AnthropicMessages(Understood):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = ORIGIN
    id_headers: tuple[bytes, ...] = (*ID_HEADERS, b"request-id")

    @property
    def passing(self) -> Passing:
        return self

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/messages"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],
        where: Where = NOWHERE,  # noqa: ARG002 - not needed
    ) -> Envelope:
        return parse_envelope(body, headers)

    def parse_request(self, envelope: Envelope) -> Request:
        return parse_request(envelope)

    def render_response(self, response: Response, asked: Asked) -> bytes:
        return render_response(response, asked)

    def stream_renderer(self, asked: Asked) -> StreamRenderer:
        return StreamRenderer(asked)

    def render_refusal(self, passed: Passed) -> bytes:
        return render_refusal(passed)

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        return render_error(error)

    def render_stream_error(self, error: KomeetError) -> bytes:
        return render_stream_error(error)

    def edit(
        self,
        envelope: Envelope,
        *,
        model: str,
        profile: Profile,
        output_limit: int | None,
        ask_usage: bool,  # noqa: ARG002 - usage always comes
    ) -> Edited:
        return edit(envelope, model=model, profile=profile, output_limit=output_limit)

    def render_request(self, request: Request, profile: Profile, *, ask_usage: bool) -> Edited:  # noqa: ARG002 - likewise
        return render_request(request, profile)

    def tap(self, *, include_usage: bool) -> MessagesTap:  # noqa: ARG002 - likewise
        return MessagesTap()

    def read_whole(self, body: bytes) -> MessagesWhole | UpstreamError:
        return read_whole(body)

    def parse_response(self, body: bytes) -> Response:
        return parse_response(body)

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return parse_error(status, headers, body, provider)


FORMAT: Final[Format] = AnthropicMessages()
