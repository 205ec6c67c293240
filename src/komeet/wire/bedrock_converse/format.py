"""Bedrock's Converse as the pipeline sees it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError
from komeet.wire.bedrock_converse.errors import parse_error
from komeet.wire.bedrock_converse.frames import STREAM_TYPE, Frames
from komeet.wire.bedrock_converse.members import ORIGIN
from komeet.wire.bedrock_converse.parse_response import parse_response
from komeet.wire.bedrock_converse.render_request import render_request
from komeet.wire.bedrock_converse.stream import StreamParser
from komeet.wire.format import Edited, Passed, Target
from komeet.wire.generation import Generation


class BedrockConverse(Generation):
    """The functions of this package, behind the port; each says in its own place what it promises."""

    __slots__ = ()

    name: str = ORIGIN
    passing: None = None
    fetches_files: bool = False
    fetches_images: bool = False
    stream_type: bytes = STREAM_TYPE

    def path(self, model: str, *, stream: bool) -> str:
        return f"/model/{quote(model, safe='')}/{'converse-stream' if stream else 'converse'}"

    def render_request(self, request: Request, profile: Profile, *, ask_usage: bool) -> Edited:  # noqa: ARG002 - usage always comes
        return render_request(request, profile)

    def parse_response(self, body: bytes) -> Response:
        return parse_response(body)

    def framing(self) -> Frames:
        return Frames()

    def stream_parser(self) -> StreamParser:
        return StreamParser()

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        return parse_error(status, headers, body, provider)


FORMAT: Final[Target] = BedrockConverse()
