"""Legacy Completions as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.core.errors import KomeetError
from komeet.core.http import Headers
from komeet.wire import openai_errors
from komeet.wire.format import NOWHERE, Asked, Caller, Envelope, Passed, Where
from komeet.wire.generation import Understood
from komeet.wire.openai_completions.envelope import parse_envelope
from komeet.wire.openai_completions.errors import render_stream_error
from komeet.wire.openai_completions.members import ORIGIN
from komeet.wire.openai_completions.parse_request import parse_request
from komeet.wire.openai_completions.render_response import render_response
from komeet.wire.openai_completions.render_stream import StreamRenderer


class OpenAICompletions(Understood):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = ORIGIN

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
        return openai_errors.render_error(error)

    def render_stream_error(self, error: KomeetError) -> bytes:
        return render_stream_error(error)


FORMAT: Final[Caller] = OpenAICompletions()
