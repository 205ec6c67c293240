"""Counting the tokens of a Messages request: the same request, without what only an answer needs."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from komeet.wire.anthropic_messages.edit import sent_headers
from komeet.wire.anthropic_messages.envelope import parse_envelope
from komeet.wire.anthropic_messages.format import AnthropicMessages
from komeet.wire.format import NOWHERE, Edited, Envelope, Where
from komeet.wire.json import encode_object, parse_object

_ONLY_FOR_ANSWERS: Final = frozenset(
    {"max_tokens", "stream", "stop_sequences", "temperature", "top_k", "top_p", "metadata", "service_tier"}
)


class MessagesCounting(AnthropicMessages):
    """The format as it is spoken at `/messages/count_tokens`."""

    __slots__ = ()

    def count_path(self, model: str) -> str:  # noqa: ARG002 - one for all
        """Return where providers take it."""
        return "/messages/count_tokens"

    def render_counted(self, tokens: int) -> bytes:
        """Return the body of an answer."""
        return msgspec.json.encode({"input_tokens": tokens})

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],
        where: Where = NOWHERE,  # noqa: ARG002 - not needed
    ) -> Envelope:
        """Read a request, which needs no `max_tokens` here.

        Raises:
            WireError: 400, with the path of the mistake.
        """
        fields = parse_object(body)
        fields.setdefault("max_tokens", Raw(b"1"))
        return parse_envelope(encode_object(fields), headers)

    def render_count(self, envelope: Envelope, model: str) -> Edited:
        """Return the request for a provider of this format."""
        fields = {name: value for name, value in envelope.fields.items() if name not in _ONLY_FOR_ANSWERS}
        fields["model"] = Raw(msgspec.json.encode(model))
        headers, key = sent_headers(envelope)
        return Edited(body=encode_object(fields), headers=headers, key=key)


COUNTING: Final = MessagesCounting()
