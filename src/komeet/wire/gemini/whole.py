"""A Gemini answer that was not streamed, as far as it is metered."""

from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.gemini.answer import USAGE, head_of, is_answer, list_of, members_of
from komeet.wire.gemini.errors import parse_stream_error
from komeet.wire.gemini.parse_response import parse_response
from komeet.wire.gemini.searches import Searches
from komeet.wire.gemini.usage import parse_usage
from komeet.wire.members import NULL
from komeet.wire.readable import readable
from komeet.wire.written import written


class GeminiWhole(Struct, frozen=True):
    """What `read_whole` found."""

    usage: Usage | None
    model: str
    service_tier: str | None
    body: bytes
    """As it came."""

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        try:
            response = parse_response(readable(self.body))
        except UpstreamError:
            return self.body.decode("utf-8", "replace")
        return "".join([text for candidate in response.candidates for text in written(candidate.parts)])


def read_whole(body: bytes) -> GeminiWhole | UpstreamError:
    """Read a whole answer; an error that came with a success status is returned.

    Raises:
        Garbled: the bytes are no JSON object, or one that is neither an answer nor an error.
    """
    answer = members_of(body)
    if answer.get("error", NULL) != NULL:
        return parse_stream_error(body)
    if not is_answer(answer):
        error = Garbled("The provider answered with something that is not an answer of its format.")
        error.detail = f"it starts with {body[:80].decode('ascii', 'backslashreplace')!r}"
        raise error
    usage = answer.get(USAGE, NULL)
    head = head_of(answer)
    searches = Searches()
    searches.note(list_of(answer.get("candidates")))
    return GeminiWhole(
        usage=searches.added(None if usage == NULL else parse_usage(usage), head.model),
        model=head.model,
        service_tier=head.service_tier,
        body=body,
    )
