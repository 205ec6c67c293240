"""Cohere's chat as the pipeline sees it: no caller speaks it."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError
from komeet.wire.cohere_chat.members import ORIGIN
from komeet.wire.cohere_chat.parse_response import parse_response
from komeet.wire.cohere_chat.render_request import render_request
from komeet.wire.cohere_chat.stream import StreamParser
from komeet.wire.format import Edited, Passed, Target
from komeet.wire.generation import Generation
from komeet.wire.openai_errors import parse_error


class CohereChat(Generation):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = ORIGIN
    passing: None = None
    fetches_files: bool = False

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/v2/chat"

    def render_request(self, request: Request, profile: Profile, *, ask_usage: bool) -> Edited:  # noqa: ARG002 - it always reports
        return render_request(request, profile)

    def parse_response(self, body: bytes) -> Response:
        return parse_response(body)

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return parse_error(status, headers, body, provider)


FORMAT: Final[Target] = CohereChat()
