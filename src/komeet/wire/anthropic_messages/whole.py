"""A Messages answer that was not streamed, as far as it is metered."""

from msgspec import Raw, Struct

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.anthropic_messages.answer import USAGE, members_of, text_of
from komeet.wire.anthropic_messages.content import content_parts
from komeet.wire.anthropic_messages.errors import parse_stream_error
from komeet.wire.anthropic_messages.usage import parse_usage
from komeet.wire.members import NULL
from komeet.wire.written import written


class MessagesWhole(Struct, frozen=True):
    """What `read_whole` found."""

    usage: Usage | None
    model: str
    service_tier: str | None
    content: Raw
    """As it came."""

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        try:
            parts = content_parts(self.content, "content")
        except WireError:
            return bytes(self.content).decode("utf-8", "replace")
        return "".join(written(parts))


def read_whole(body: bytes) -> MessagesWhole | UpstreamError:
    """Read a whole answer; an error that came with a success status is returned.

    Raises:
        Garbled: the bytes are no JSON object, or one with neither content nor an error.
    """
    message = members_of(body)
    if not message:
        error = Garbled("The provider answered with something that is not a JSON object.")
        error.detail = f"it starts with {body[:80].decode('ascii', 'backslashreplace')!r}"
        raise error
    if message.get("error", NULL) != NULL:
        return parse_stream_error(body)
    content = message.get("content", NULL)
    if content == NULL:
        raise Garbled("The provider answered with JSON that is not a message: it has no content.")
    usage = message.get(USAGE, NULL)
    return MessagesWhole(
        usage=None if usage == NULL else parse_usage(usage),
        model=text_of(message.get("model")),
        service_tier=text_of(members_of(usage).get("service_tier")) or None,
        content=content,
    )
