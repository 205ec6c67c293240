"""Gemini's generateContent as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire.format import NOWHERE, Asked, Edited, Envelope, Format, Passed, Passing, Where
from komeet.wire.gemini.edit import edit
from komeet.wire.gemini.envelope import parse_envelope
from komeet.wire.gemini.errors import parse_error, render_error, render_refusal, render_stream_error
from komeet.wire.gemini.members import ORIGIN
from komeet.wire.gemini.parse_request import parse_request
from komeet.wire.gemini.parse_response import parse_response
from komeet.wire.gemini.render_request import render_request
from komeet.wire.gemini.render_response import render_response
from komeet.wire.gemini.render_stream import StreamRenderer
from komeet.wire.gemini.stream import StreamParser
from komeet.wire.gemini.tap import GeminiTap
from komeet.wire.gemini.whole import GeminiWhole, read_whole
from komeet.wire.generation import Understood


class Gemini(Understood):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = ORIGIN
    takes_comments: bool = False  # they take every line that is no `data:` for a piece of JSON

    @property
    def passing(self) -> Passing:
        return self

    def path(self, model: str, *, stream: bool) -> str:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/models/{quote(model, safe='/')}:{verb}"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],  # noqa: ARG002 - none means anything
        where: Where = NOWHERE,
    ) -> Envelope:
        return parse_envelope(body, where)

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
        model: str,  # noqa: ARG002 - the path says it
        profile: Profile,
        output_limit: int | None,
        ask_usage: bool,  # noqa: ARG002 - usage always comes
    ) -> Edited:
        return edit(envelope, profile=profile, output_limit=output_limit)

    def render_request(self, request: Request, profile: Profile, *, ask_usage: bool) -> Edited:  # noqa: ARG002 - likewise
        return render_request(request, profile)

    def tap(self, *, include_usage: bool) -> GeminiTap:  # noqa: ARG002 - likewise
        return GeminiTap()

    def read_whole(self, body: bytes) -> GeminiWhole | UpstreamError:
        return read_whole(body)

    def parse_response(self, body: bytes) -> Response:
        return parse_response(body)

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return parse_error(status, headers, body, provider)


FORMAT: Final[Format] = Gemini()
