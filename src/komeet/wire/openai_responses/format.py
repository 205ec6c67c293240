"""Responses as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire import openai_errors
from komeet.wire.format import NOWHERE, Asked, Edited, Envelope, Format, Passed, Passing, Where
from komeet.wire.generation import Understood
from komeet.wire.openai_responses.edit import edit
from komeet.wire.openai_responses.envelope import parse_envelope
from komeet.wire.openai_responses.errors import render_error, render_stream_error
from komeet.wire.openai_responses.members import ORIGIN
from komeet.wire.openai_responses.parse_request import parse_request
from komeet.wire.openai_responses.parse_response import parse_response
from komeet.wire.openai_responses.render_request import LEAST_OUTPUT, render_request
from komeet.wire.openai_responses.render_response import render_response
from komeet.wire.openai_responses.render_stream import StreamRenderer
from komeet.wire.openai_responses.stream import StreamParser
from komeet.wire.openai_responses.tap import ResponsesTap
from komeet.wire.openai_responses.whole import ResponsesWhole, read_whole


class OpenAIResponses(Understood):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = ORIGIN
    least_output: int = LEAST_OUTPUT

    @property
    def passing(self) -> Passing:
        return self

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/responses"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],  # noqa: ARG002 - none matters
        where: Where = NOWHERE,  # noqa: ARG002 - it names nothing
    ) -> Envelope:
        return parse_envelope(body)

    def parse_request(self, envelope: Envelope) -> Request:
        return parse_request(envelope)

    def render_response(self, response: Response, asked: Asked) -> bytes:
        return render_response(response, asked)

    def stream_renderer(self, asked: Asked) -> StreamRenderer:
        return StreamRenderer(asked)

    def render_refusal(self, passed: Passed) -> bytes:
        return openai_errors.render_refusal(passed)

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

    def tap(self, *, include_usage: bool) -> ResponsesTap:  # noqa: ARG002 - likewise
        return ResponsesTap()

    def read_whole(self, body: bytes) -> ResponsesWhole | UpstreamError:
        return read_whole(body)

    def parse_response(self, body: bytes) -> Response:
        return parse_response(body)

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return openai_errors.parse_error(status, headers, body, provider)


FORMAT: Final[Format] = OpenAIResponses()
