"""A Chat Completions answer that was not streamed, as far as it is metered."""

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.openai_chat.chunk import FALSY, NULL, Delta, XGroq, gather, text_of
from komeet.wire.openai_chat.errors import parse_stream_error
from komeet.wire.openai_chat.usage import parse_usage


class _Answer(Struct):
    model: Raw = NULL
    service_tier: Raw = NULL
    choices: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL
    x_groq: Raw = NULL


class _Choice(Struct):
    message: Raw = NULL


class ChatWhole(Struct, frozen=True):
    """What `read_whole` found."""

    usage: Usage | None
    model: str
    service_tier: str | None
    choices: Raw
    """As they came."""

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        pieces: list[str] = []
        for choice in _choices(self.choices):
            try:
                gather(_message.decode(choice.message), pieces)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pieces.append(bytes(choice.message).decode("utf-8", "replace"))
        return "".join(pieces)


_answer = Decoder(_Answer)
_choice_list = Decoder(list[_Choice])
_message = Decoder(Delta)
_groq = Decoder(XGroq | None)


def read_whole(body: bytes) -> ChatWhole | UpstreamError:
    """Read a whole answer; an error that came with a success status is returned.

    Raises:
        Garbled: the bytes are no JSON object, or one with neither choices nor an error.
    """
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        error = Garbled("The provider answered with something that is not a JSON object.")
        error.detail = f"it starts with {body[:80].decode('ascii', 'backslashreplace')!r}"
        raise error from cause
    if bytes(answer.error) not in FALSY:
        return parse_stream_error(answer.error)
    if answer.choices == NULL:
        raise Garbled("The provider answered with JSON that is not a chat completion: it has no choices.")
    return ChatWhole(
        usage=parse_usage(_reported(answer)),
        model=text_of(answer.model) or "",
        service_tier=text_of(answer.service_tier),
        choices=answer.choices,
    )


def _reported(answer: _Answer) -> Raw:
    if answer.usage != NULL or answer.x_groq == NULL:
        return answer.usage
    try:
        groq = _groq.decode(answer.x_groq)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NULL
    return NULL if groq is None else groq.usage


def _choices(raw: Raw) -> list[_Choice]:
    try:
        return _choice_list.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
