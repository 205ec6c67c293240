"""What the formats of calls that generate have in common, unless one of them says otherwise."""

from komeet.canonical.extent import Extent
from komeet.canonical.request import Request
from komeet.core.errors import WireError
from komeet.wire.extent import measure_request
from komeet.wire.format import ID_HEADERS, Envelope, Kind
from komeet.wire.framing import EVENT_STREAM, EventStream, Framing
from komeet.wire.json import encode_object
from komeet.wire.prompt import request_text


class Generation:
    """Server-sent events, files and pictures that the provider fetches, usage that comes without being asked for."""

    __slots__ = ()

    kind: Kind = "generation"
    id_headers: tuple[bytes, ...] = ID_HEADERS
    takes_comments: bool = True
    stream_type: bytes = EVENT_STREAM
    least_output: int = 1
    fetches_files: bool = True
    fetches_images: bool = True

    def framing(self) -> Framing:
        """Return what cuts one stream into events."""
        return EventStream()

    def names_stream_options(self, body: bytes) -> bool:  # noqa: ARG002 - none is ever sent
        """Whether a refusal is about having been asked for usage: never."""
        return False


class Understood(Generation):
    """A caller's format whose requests are measured, and their tokens counted, by what they mean."""

    __slots__ = ()

    def parse_request(self, envelope: Envelope) -> Request:
        """Return the whole request in the neutral model; each format has its own."""
        raise NotImplementedError

    def measure(self, envelope: Envelope) -> Extent:
        """Return how much the request may make a provider read and do."""
        return measure_request(self.parse_request(envelope), envelope)

    def prompt_text(self, envelope: Envelope) -> str:
        """Return the text that the request sends, for counting tokens.

        It may have gone to a provider as it came, and have been answered: what is not understood is taken as it was
        written. This is for an estimate, and never fails.
        """
        try:
            return request_text(self.parse_request(envelope))
        except WireError:
            return encode_object(envelope.fields).decode("utf-8", "replace")
