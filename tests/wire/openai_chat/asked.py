"""A call, as its answer needs to know it."""

from komeet.canonical.event import Event
from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.wire.format import Asked, Envelope
from komeet.wire.openai_chat.render_response import render_response
from komeet.wire.openai_chat.render_stream import StreamRenderer


def asked(*, usage: bool = False, stream: bool = True) -> Asked:
    """Return a call of the model `asked-for`; its id is `1`, and it came at second 7."""
    envelope = Envelope(fields={}, size=2, model="asked-for", stream=stream, include_usage=usage)
    return Asked(envelope=envelope, request=Request(model="asked-for", turns=()), id="1", created=7)


def whole(response: Response) -> bytes:
    """Return the body of a whole answer."""
    return render_response(response, asked(stream=False))


def streamed(events: list[Event], *, usage: bool = True) -> bytes:
    """Return the stream that tells `events`."""
    renderer = StreamRenderer(asked(usage=usage))
    return b"".join([renderer.feed(event) for event in events]) + renderer.end()
