"""Counting the tokens of a Gemini request: its contents alone, or the whole of it in `generateContentRequest`."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw

from komeet.core.errors import WireError
from komeet.wire.format import NOWHERE, Edited, Envelope, Where
from komeet.wire.gemini.envelope import parse_envelope
from komeet.wire.gemini.format import Gemini
from komeet.wire.gemini.members import Members
from komeet.wire.json import encode_object, parse_object

WHOLE: Final = "generateContentRequest"
_ALONE: Final = frozenset({"contents", "model"})


class GeminiCounting(Gemini):
    """The format as it is spoken at `:countTokens`."""

    __slots__ = ()

    def count_path(self, model: str) -> str:
        """Return where providers take it."""
        return f"/models/{quote(model, safe='/')}:countTokens"

    def render_counted(self, tokens: int) -> bytes:
        """Return the body of an answer."""
        return msgspec.json.encode({"totalTokens": tokens})

    def parse_envelope(self, body: bytes, headers: Mapping[bytes, bytes], where: Where = NOWHERE) -> Envelope:  # noqa: ARG002 - not needed
        """Read a request, whose members may stand in `generateContentRequest`.

        Raises:
            WireError: 400, with the path of the mistake.
        """
        members = Members(parse_object(body))
        inside = members.raw(WHOLE)
        if inside is not None and members.raw("contents") is not None:
            raise WireError(f"Invalid value at '{WHOLE}': send it or 'contents', not both.", param=WHOLE)
        return parse_envelope(body if inside is None else bytes(inside), where)

    def render_count(self, envelope: Envelope, model: str) -> Edited:
        """Return the request for a provider of this format."""
        fields = {name: value for name, value in envelope.fields.items() if name != "model"}
        if not _ALONE.issuperset(fields):
            named = Raw(msgspec.json.encode(f"models/{model}"))
            fields = {WHOLE: Raw(encode_object({"model": named, **fields}))}
        return Edited(body=encode_object(fields), key="x-goog-api-key")


COUNTING: Final = GeminiCounting()
