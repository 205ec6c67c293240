"""From a whole Gemini answer to the neutral model: it is a stream of one message."""

from komeet.canonical.fold import fold
from komeet.canonical.response import Response
from komeet.wire import sse
from komeet.wire.gemini.answer import garbled, is_answer, members_of
from komeet.wire.gemini.errors import parse_stream_error
from komeet.wire.gemini.stream import StreamParser
from komeet.wire.members import NULL


def parse_response(body: bytes) -> Response:
    """Return the answer that `body` is; members without a word in the model are kept as extras.

    Raises:
        UpstreamError: `body` is an error.
        Garbled: it is no answer.
    """
    members = members_of(body)
    if members.get("error", NULL) != NULL:
        raise parse_stream_error(body)
    if not is_answer(members):
        raise garbled(f"no answer: {body[:80]!r}")
    parser = StreamParser()
    return fold([*parser.feed(sse.Event(None, body)), *parser.rest()])
