"""An answer in the other form: whole where a stream was asked for, or a stream where a whole answer was.

Some providers stream always, or never. The caller's library reads one form only: it would find nothing in the other.
"""

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.unfold import unfold
from komeet.wire.openai_chat.parse_response import parse_response
from komeet.wire.openai_chat.render_response import render_response
from komeet.wire.openai_chat.render_stream import StreamRenderer
from komeet.wire.openai_chat.stream import StreamParser
from komeet.wire.sse import Splitter, fields


def as_stream(body: bytes, *, include_usage: bool) -> bytes:
    """Return the stream that says what the whole answer `body` says.

    Raises:
        UpstreamError: `body` is an error, or no chat completion.
    """
    renderer = StreamRenderer(include_usage=include_usage)
    return b"".join([renderer.feed(event) for event in unfold(parse_response(body))]) + renderer.end()


def as_whole(stream: bytes) -> bytes:
    """Return the whole answer that `stream` says.

    Raises:
        UpstreamError: the stream broke off, carries an error, or is not one.
    """
    parser, splitter = StreamParser(), Splitter()
    events: list[Event] = []
    for block in [*splitter.feed(stream), splitter.rest()]:
        said = fields(block)
        if said is not None:
            events += parser.feed(said.data)
    return render_response(fold([*events, *parser.end()]))
